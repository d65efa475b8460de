"""A policy's model card: README.md as the hub and transformers read it.

Made of the policy's lineage, what its training measured, and rates where it was evaluated; holds no
path of a machine, no text of a rollout. It lies beside model/, whose files are the policy's
identity: to publish, copy it in.
"""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from qibox.engines.sources import BUILTIN
from qibox.markdown import markdown_table

CARD = "README.md"
CURVES = "training.png"
SPAN = 10  # steps at either end that a figure is the mean of
TASK = "image-text-to-text"
OWN_LICENSE, UNKNOWN_LICENSE = "apache-2.0", "unknown"  # the hub's words
MEASURED = {
    "reward": "reward",
    "unsafe_drafts": "unsafe drafts",
    "corrected": "unsafe drafts that were corrected",
    "zero_variance": "groups without spread",
    "kl": "KL divergence from the start",
    "grad_norm": "gradient norm",
}

Row = Mapping[str, Any]
Lineage = Mapping[str, Any]


def policy_card(
    lineage: Lineage,
    metrics: Sequence[Row],
    rates: Sequence[Row] = (),
    license: str | None = None,
) -> str:
    """Return the card.

    Args:
        lineage: what policy.yaml holds.
        metrics: a row a step, as in metrics.jsonl.
        rates: rows of :data:`qibox.tables.RATES` that are this policy's; may be empty.
        license: that of the start policy; None: not known, but for a shipped one's.
    """
    head = _head(lineage, rates, license)
    body = [
        *_first(lineage),
        *_use(),
        *_lineage(lineage),
        *_training(metrics),
        *_evaluation(rates),
        *_limits(lineage, rates),
    ]
    return f"---\n{head.to_yaml()}\n---\n" + "\n".join(body)


def start_license(card: str | None) -> str | None:
    """The licence that a start policy's own card gives; None without one."""
    if card is None:
        return None
    try:
        found = ModelCard(card, ignore_metadata_errors=True).data.get("license")
    except ValueError:  # no YAML at its head
        return None
    return found if isinstance(found, str) else None


def _head(lineage: Lineage, rates: Sequence[Row], license: str | None) -> ModelCardData:
    """Metadata that the hub reads; what is not known is left out."""
    plan, recipe = lineage["plan"], lineage["plan"]["recipe"]
    shipped = plan["policy"].startswith(BUILTIN)
    on_hub = not shipped and not str(plan["policy_revision"]).startswith("sha256:")
    return ModelCardData(
        model_name=plan["name"],
        base_model=plan["policy"] if on_hub else None,
        library_name="transformers",
        pipeline_tag=TASK,
        license=license or (OWN_LICENSE if shipped else UNKNOWN_LICENSE),
        tags=["qibox", "trl", "grpo", "safety", *(["lora"] if recipe["lora"] else [])],
        eval_results=[*_results(rates)] or None,
    )


def _results(rates: Sequence[Row]) -> Iterator[EvalResult]:
    """The rates over all samples of each benchmark, by each judge."""
    for row in rates:
        if row["by"] == "all" and row["value"] is not None:
            yield EvalResult(
                task_type=TASK,
                dataset_type=row["pool"],
                dataset_name=row["pool"],
                metric_type=row["measure"],
                metric_name=f"{row['measure']}, judge {row['judge']}",
                metric_value=round(row["value"], 4),
            )


def _first(lineage: Lineage) -> list[str]:
    plan = lineage["plan"]
    recipe = plan["recipe"]
    unsafe = {
        "reflect": "an unsafe draft was shown to the policy, which said why and answered anew",
        "discard": "unsafe drafts were left out",
        "plain": "every draft was rewarded as it was",
    }[recipe["rollout"]["unsafe"]]
    return [
        f"# {plan['name']}",
        "",
        f"A vision-language policy, trained by `qibox` from `{plan['policy']}` by GRPO on "
        f"{plan['selection_samples']:,} samples of harmless, harmful and seemingly harmless "
        f"questions about pictures; {unsafe}.",
        "",
    ]


def _use() -> list[str]:
    return [
        "## Use",
        "",
        "The weights and the processor are in `model/`; nothing else is needed to run them.",
        "",
        "```python",
        "from transformers import AutoModelForImageTextToText, AutoProcessor",
        "",
        'model = AutoModelForImageTextToText.from_pretrained("model")',
        'processor = AutoProcessor.from_pretrained("model")',
        "```",
        "",
        "`vllm serve model` serves it. To publish, copy this file into `model/`.",
        "",
    ]


def _lineage(lineage: Lineage) -> list[str]:
    plan, recipe = lineage["plan"], lineage["plan"]["recipe"]
    judge, rollouts = plan["judge"], recipe["prompts_per_step"] * recipe["samples_per_prompt"]
    model = judge["model"]["source"] if judge["model"] else judge["kind"]
    shared, lora = lineage["sharded_by"], recipe["lora"]
    rows = [
        ("start policy", f"`{plan['policy']}`, {plan['policy_revision']}"),
        ("selection", f"`{plan['selection']}`, {plan['selection_samples']:,} samples"),
        ("its sha256", str(plan["selection_sha256"])),
        ("judge of the rewards", f"`{judge['name']}` ({model})"),
        ("recipe", f"`{recipe['name']}`"),
        ("objective, credit", f"{recipe['objective']}, {recipe['credit']}"),
        ("steps", f"{recipe['steps']:,} of {rollouts:,} rollouts"),
        ("learning rate, KL weight", f"{recipe['learning_rate']:g}, {recipe['beta']:g}"),
        ("adapters", f"rank {lora['rank']}, merged" if lora else "none: every weight learned"),
        ("seed", str(recipe["seed"])),
        ("processes", f"{lineage['processes']}" + (f", sharing by {shared}" if shared else "")),
        ("time", f"{lineage['seconds']:,.0f} s"),
        ("versions", ", ".join(f"{n} {v}" for n, v in lineage["versions"].items())),
    ]
    return ["## Lineage", "", *markdown_table(("", ""), rows), ""]


def _training(metrics: Sequence[Row]) -> list[str]:
    """The mean over the first steps and over the last, of what was measured at all."""
    span = min(SPAN, len(metrics))
    rows = []
    for name, words in MEASURED.items():
        first, last = (_mean(row.get(name) for row in part) for part in _ends(metrics, span))
        if first is not None or last is not None:
            rows.append((words, _number(first), _number(last)))
    if not rows:
        return []
    header = ("", f"first {span} steps", f"last {span}")
    return [
        "## Training",
        "",
        *markdown_table(header, rows),
        "",
        f"![Curves of the training]({CURVES})",
        "",
    ]


def _ends(metrics: Sequence[Row], span: int) -> tuple[Sequence[Row], Sequence[Row]]:
    return metrics[:span], metrics[len(metrics) - span :]


def _evaluation(rates: Sequence[Row]) -> list[str]:
    """Each measure over all samples and in each risk, beside what changed against the start."""
    if not rates:
        return ["## Evaluation", "", "None yet: `qibox eval` fills this in.", ""]
    rows = [
        (
            row["pool"],
            row["judge"],
            row["measure"] if row["among"] is None else f"{row['measure']}, {row['among']}",
            f"{row['samples']:,}",
            _interval(row, "value", "low", "high"),
            _interval(row, "change", "change_low", "change_high", signed=True),
        )
        for row in rates
        if row["by"] in ("all", "risk")
    ]
    header = ("benchmark", "judge", "measure", "samples", "value", "change")
    text = (
        "In brackets the 95 % interval over samples; shares in %, scores from 1 to 10; the change "
        "is against the start policy, paired."
    )
    return ["## Evaluation", "", text, "", *markdown_table(header, rows), ""]


def _limits(lineage: Lineage, rates: Sequence[Row]) -> list[str]:
    judge = lineage["plan"]["judge"]["name"]
    limits = [
        "It was rewarded for what one judge takes for safe and helpful: where the judge errs, so "
        "does the policy. It is no filter, and no guarantee for any single answer.",
        "What it was not trained on, it may do worse than its start; no other skill was measured.",
    ]
    if not rates:
        limits.append("It was not evaluated.")
    elif {row["judge"] for row in rates} == {judge}:
        limits.append(f"The judge that measured it, `{judge}`, is the one that rewarded it.")
    if lineage["plan"]["policy"].startswith(BUILTIN):
        limits.append(
            "It knows drawn rooms and some hundred words, and is for trying the method alone."
        )
    return ["## Limits", "", *(f"- {limit}" for limit in limits), ""]


def _interval(row: Row, value: str, low: str, high: str, *, signed: bool = False) -> str:
    """A value with its interval; shares in per cent."""
    if row[value] is None:
        return "–"
    scale, digits = (1.0, 1) if row["measure"].endswith("score") else (100.0, 0)
    sign = "+" if signed else ""
    numbers = [f"{scale * row[name]:{sign}.{digits}f}" for name in (value, low, high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
