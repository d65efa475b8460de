"""What each view of a run is, in a sentence: said by `qibox sql`, an exported file and the docs."""

from typing import Final

ABOUT: Final = {
    "pool": "One row a sample: picture, question, kind of risk, category, severity.",
    "responses": "One row an answer: model, k, text, and why it is missing where it is.",
    "judgments": "One row a judge's verdict on an answer: score, criteria, safe or not, rationale.",
    "scores": "One row a sample: quality, instability and its two parts, by the run's first judge.",
    "selections": "One row a sample of a selection, or a variant: prompt as trained on, scores.",
    "rollouts": "One row a trajectory of a training: draft, reflection, final, reward, advantage.",
    "alarms": "One row a known failure that a training's monitors saw, with its sentence.",
    "replicates": "One row a measure of an arm in a replicate of a comparison, after a step.",
    "comparisons": "One row an arm beside another in a measure: difference, intervals, p values.",
    "audits": "One row a number of a comparison of two judges: agreement, errors, biases, the box.",
    "rejects": "One row a thing that is missing, with its reason: pool rows, answers, verdicts.",
    "evaluations": "One row an answer of a policy on a benchmark, with a judge's verdict.",
    "profiles": "One row a sample that a policy was profiled on: mean score, spread, unsafe share.",
    "rates": "One row a measure of a policy on a benchmark, with its interval and its change.",
}
