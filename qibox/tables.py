"""Every table's columns, in one place: pool → responses → judgments → scores → selection.

Only declarations. A null text, score or criterion always has its cause in ``reason``.
"""

import pyarrow as pa

from qibox.features import with_features
from qibox.verdict import ANSWER_CRITERIA, REASONING_CRITERIA

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # as the datasets library has it

RISKS = ("none", "explicit", "implicit")

SAMPLES = pa.schema(  # what every pool shard has
    [
        ("sample_id", pa.string()),
        ("source", pa.string()),
        ("question", pa.string()),
        ("image", IMAGE),  # null for a text-only sample
        ("category", pa.string()),
        ("severity", pa.int32()),  # null if unknown
        ("risk", pa.string()),  # one of RISKS, null if unknown
        ("meta", pa.string()),  # JSON: what the source says besides
    ]
)

# Shards of before there was a licence lack it, and views show null there; no shard's key counts it.
POOL = SAMPLES.append(pa.field("license", pa.string()))  # the source's; null if it says none
UNCOUNTED = ("license",)

PROMPTS = pa.schema(
    [
        (
            "key",
            pa.string(),
        ),  # sampling noise is keyed by it: a sample_id, or one with a text's hash
        ("system", pa.string()),  # null for none
        ("text", pa.string()),
        ("image", IMAGE),
    ]
)

COMPLETIONS = pa.schema(
    [
        ("key", pa.string()),
        ("k", pa.int32()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),  # stop | length, null on failure
        ("tokens", pa.int32()),
        ("reason", pa.string()),  # why text is null
    ]
)

RESPONSES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("model", pa.string()),
        ("k", pa.int32()),
        ("text", pa.string()),
        ("reasoning", pa.string()),  # null where the text shows none
        ("answer", pa.string()),
        ("finish_reason", pa.string()),
        ("tokens", pa.int32()),
        ("reason", pa.string()),
    ]
)

CRITERIA = (*REASONING_CRITERIA, *ANSWER_CRITERIA)

VERDICTS = pa.schema(
    [
        ("score", pa.float64()),  # [1, 10]
        ("reasoning_score", pa.float64()),
        ("answer_score", pa.float64()),
        *[(name, pa.int8()) for name in CRITERIA],
        ("hallucination", pa.bool_()),
        ("contradiction", pa.bool_()),
        ("grounding_gap", pa.int8()),
        ("safe", pa.bool_()),
        ("rationale", pa.string()),
        ("raw", pa.string()),  # a judge's own words where they did not parse
        ("reason", pa.string()),
    ]
)

JUDGMENTS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("judge", pa.string()),
        ("model", pa.string()),
        ("k", pa.int32()),
        *VERDICTS,
    ]
)

SCORES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("quality", pa.float64()),  # Q, [1, 10]
        ("instability", pa.float64()),  # U, [0, 4.5]
        ("disagreement", pa.float64()),  # D
        ("self_instability", pa.float64()),  # V
        ("safe_rate", pa.float64()),  # each model weighing the same, [0, 1]
        # how far a model's own answers differ in safety; null in files of before there was one
        ("safety_spread", pa.float64()),
        # answers whose score is of their reasoning as well, each model weighing the same, [0, 1];
        # null in older files and under judges that do not tell
        ("reasoned_share", pa.float64()),
        ("n_models", pa.int32()),  # models with at least the wanted number of judgments
        ("n_judged", pa.int32()),  # judgments present, over all models
        ("reason", pa.string()),
    ]
)

# Of the scores, what a selection does not have.
UNSELECTED = ("sample_id", "safety_spread", "reasoned_share", "reason")

REJECTS = pa.schema(
    [
        ("source", pa.string()),
        ("row", pa.int64()),  # position in the source, from 0
        ("sample_id", pa.string()),  # null where the row has none
        ("reason", pa.string()),
    ]
)

MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))),
        ]
    )
)

SELECTION = with_features(
    pa.schema(
        [
            ("sample_id", pa.string()),
            ("prompt", MESSAGES),
            ("images", pa.list_(IMAGE)),
            ("question", pa.string()),
            ("source", pa.string()),
            ("category", pa.string()),
            ("severity", pa.int32()),
            ("risk", pa.string()),
            ("meta", pa.string()),
            *[field for field in SCORES if field.name not in UNSELECTED],
        ]
    ),
    image=IMAGE,
)

# A selection with variants of its samples beside them.
AUGMENTED = with_features(
    pa.schema(
        [
            *SELECTION,
            ("variant_of", pa.string()),  # the sample that it is a variant of; null: it is none
            ("variant", pa.string()),  # picture | question (of a file) | rephrased
        ]
    ),
    image=IMAGE,
)

# One trajectory of training: the draft and, where it was unsafe and the recipe reflects, the
# reflection and the corrected response. Scores come from the judge's weights by
# qibox.verdict.score_verdict, so every one of them, and the reward, can be recomputed from its row.
_VERDICT_FIELDS = ("score", "reasoning_score", "answer_score")


def _rated(part: str) -> list[pa.Field]:
    """Return a verdict's columns under a prefix; all null where that part was not judged."""
    return [
        *[pa.field(f"{part}_{name}", pa.float64()) for name in _VERDICT_FIELDS],
        *[pa.field(f"{part}_{name}", pa.int8()) for name in CRITERIA],
        pa.field(f"{part}_hallucination", pa.bool_()),
        pa.field(f"{part}_contradiction", pa.bool_()),
        pa.field(f"{part}_grounding_gap", pa.int8()),
        pa.field(f"{part}_safe", pa.bool_()),
        pa.field(f"{part}_reason", pa.string()),  # why there is no verdict
    ]


ROLLOUTS = pa.schema(
    [
        ("step", pa.int32()),  # optimiser step that the rollout was drawn for, from 1
        ("sample_id", pa.string()),
        ("k", pa.int32()),  # place in the sample's group of K
        ("risk", pa.string()),
        ("draft", pa.string()),
        ("reflection", pa.string()),  # null where the draft was not reflected upon
        ("final", pa.string()),  # the corrected response, or the draft where none was asked for
        ("unsafe_draft", pa.bool_()),  # null where the draft could not be judged
        ("corrected", pa.bool_()),  # an unsafe draft whose final is safe; null if draft not unsafe
        ("discarded", pa.bool_()),  # out of the group: no reward, no gradient
        *_rated("draft"),
        *_rated("final"),
        ("reward", pa.float64()),  # null where discarded or not judged
        ("cost", pa.float64()),  # harm in [0, 1] under the objective lagrangian, else null
        ("multiplier", pa.float64()),  # as the reward was counted with; null likewise
        ("advantage", pa.float64()),  # of the reward in its group: the whole trajectory's
        # As the loss used them, by the recipe's credit (qibox.grpo.credit); null in older files.
        ("draft_advantage", pa.float64()),
        ("recovery_advantage", pa.float64()),  # of reflection and correction; null without them
        ("zero_variance", pa.bool_()),  # every advantage of its group is 0: nothing is learned
        ("prompt_tokens", pa.int32()),
        ("draft_tokens", pa.int32()),
        ("reflection_tokens", pa.int32()),
        ("final_tokens", pa.int32()),  # of the corrected response; null where none was asked for
        ("inserted_tokens", pa.int32()),  # put in by the template, never trained
        ("trained_tokens", pa.int32()),
    ]
)

ALARMS = pa.schema(  # a known failure that a training's monitors saw
    [
        ("step", pa.int32()),
        ("monitor", pa.string()),  # reward hacking | template | loss of helpfulness | instability
        ("measurement", pa.string()),  # that showed it, as metrics.jsonl calls it
        ("value", pa.float64()),  # null: no finite number
        ("threshold", pa.float64()),
        ("sentence", pa.string()),
    ]
)

EVALUATIONS = pa.schema(
    [
        ("policy", pa.string()),  # the policy's name in the run
        ("stage", pa.string()),  # start: as it was before training; trained: after
        ("pool", pa.string()),
        ("sample_id", pa.string()),
        ("risk", pa.string()),
        ("category", pa.string()),
        ("severity", pa.int32()),
        ("k", pa.int32()),
        *[RESPONSES.field(n) for n in ("text", "reasoning", "answer", "finish_reason", "tokens")],
        ("judge", pa.string()),
        *VERDICTS,  # reason says why there is no text, or no verdict
    ]
)

# Each measure of each policy on each pool by each judge; see qibox.evaluation.rates.
RATES = pa.schema(
    [
        ("pool", pa.string()),
        ("judge", pa.string()),
        ("policy", pa.string()),
        ("stage", pa.string()),  # start | trained
        ("start", pa.string()),  # the policy it started from; null where that did not answer here
        ("measure", pa.string()),
        ("by", pa.string()),  # all | risk | category
        ("among", pa.string()),  # which risk or category; null for all
        ("value", pa.float64()),  # shares in [0, 1], scores in [1, 10]; null if nothing was judged
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("samples", pa.int64()),  # with at least one response that the measure could count
        ("responses", pa.int64()),  # that it could count
        ("not_judged", pa.int64()),  # responses to these samples without a verdict
        ("change", pa.float64()),  # against the start, paired over the samples both have
        ("change_low", pa.float64()),
        ("change_high", pa.float64()),
        ("change_samples", pa.int64()),  # that both have; null without a start
    ]
)

# What one policy of a comparison came to in one measure, or its training in one mediator.
REPLICATES = pa.schema(
    [
        ("comparison", pa.string()),
        ("world", pa.string()),  # the run that the replicate was drawn in, by its last part
        ("seed", pa.int64()),
        ("arm", pa.string()),
        ("step", pa.int32()),  # of the training, after which it was measured
        ("judge", pa.string()),  # null for a mediator: the training's own
        ("measure", pa.string()),  # of RATES, or a mediator (qibox.comparison.mediators)
        ("among", pa.string()),  # which risk; null for all
        ("value", pa.float64()),  # null where nothing could be counted
        ("samples", pa.int64()),  # null for a mediator
    ]
)

# One arm beside another in one measure, over the replicates that have both.
COMPARISONS = pa.schema(
    [
        ("comparison", pa.string()),
        ("arm", pa.string()),
        ("against", pa.string()),
        ("role", pa.string()),  # primary | secondary | mediator
        ("judge", pa.string()),
        ("measure", pa.string()),  # with ", area under the curve" where it is of all checkpoints
        ("among", pa.string()),
        ("replicates", pa.int64()),
        ("arm_mean", pa.float64()),
        ("against_mean", pa.float64()),
        ("difference", pa.float64()),  # in the measure's unit
        ("low", pa.float64()),  # 95 % interval, Student's t of paired differences
        ("high", pa.float64()),
        ("nested_low", pa.float64()),  # over replicates and samples, studentised; primary alone
        ("nested_high", pa.float64()),
        ("p", pa.float64()),  # paired t test, two-sided
        ("p_permutation", pa.float64()),
        ("p_holm", pa.float64()),  # of secondary ones: p adjusted over all of them
        ("p_non_inferior", pa.float64()),  # helpfulness: that it is less by the margin or more
        ("spread", pa.float64()),  # standard deviation of the differences
        ("correlation", pa.float64()),  # of the two arms over replicates
        ("smallest_effect", pa.float64()),  # that so many replicates find, at a power of .8
    ]
)

# What the comparison of two judges found, one number a row; see qibox.audit.report.
AUDITS = pa.schema(
    [
        ("judge", pa.string()),  # the one that is compared with
        ("other", pa.string()),
        ("part", pa.string()),  # flags | scores | samples | box | bias | noise | reflections
        ("measure", pa.string()),  # a flag, a score, a selection's box, a bias
        ("by", pa.string()),  # all | risk | category | model | length | judge | step
        ("among", pa.string()),  # which of them; null for all
        ("statistic", pa.string()),
        ("value", pa.float64()),  # null where it is not defined
        ("low", pa.float64()),  # of the 95 % interval over samples; null where none is counted
        ("high", pa.float64()),
        ("n", pa.int64()),  # responses that were counted; of the parts samples and box, samples
    ]
)
