"""Likeness of reflections and the probes' measurements, by hand."""

from typing import Any

import pyarrow as pa
import pytest

from qibox.grpo.judging import Rating
from qibox.grpo.monitors.alarms import DISTINCT, REFUSED, SECOND, SEEN, SIMILARITY
from qibox.grpo.monitors.probes import Probes, over_refusal
from qibox.grpo.monitors.reflections import likeness
from qibox.manifests.monitors import Monitors
from qibox.tables import VERDICTS
from qibox.verdict import Verdict


def reflected(*pairs: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [{"sample_id": sample, "reflection": text} for sample, text in pairs]


def test_likeness_by_hand() -> None:
    found = likeness(reflected(("a", "x y z"), ("b", "x y w"), ("a", "never seen"), ("c", None)))
    # pairs xy yz and xy yw: one of three in common; three distinct of four
    assert found[SIMILARITY] == pytest.approx(1 / 3)
    assert found[DISTINCT] == pytest.approx(3 / 4)


def test_a_template_is_all_alike() -> None:
    found = likeness(reflected(*((str(n), "It was unsafe .") for n in range(8))))
    assert found == {SIMILARITY: 1.0, DISTINCT: pytest.approx(3 / 24)}


def test_one_samples_reflections_say_nothing_of_a_template() -> None:
    assert likeness(reflected(("a", "x y"), ("a", "x y"))) == {SIMILARITY: None, DISTINCT: None}
    assert likeness(reflected(("a", "x"), ("b", "x")))[SIMILARITY] == 1.0  # words without pairs


def second(score: float | None) -> Any:
    return lambda ids, texts: [Rating(score=score)] * len(texts)


def test_a_second_opinion_is_of_a_few_responses_now_and_then() -> None:
    probes = Probes(Monitors(every=5, responses=2), second(4.0))
    rows = [{"sample_id": "a", "final": "t", "final_score": float(n)} for n in range(1, 7)]
    assert [step for step in range(1, 12) if probes.due(step)] == [1, 6, 11]
    found = probes.second_opinion(6, rows)
    assert (found[SEEN], found[SECOND]) == (2.5, 4.0)  # the first of six and the fourth
    assert probes.second_opinion(7, rows) == {}
    assert Probes(Monitors(), None).second_opinion(1, rows) == {}
    nothing = Probes(Monitors(), second(None)).second_opinion(1, rows)
    assert (nothing[SEEN], nothing[SECOND]) == (None, None)


def verdict(**changes: int) -> Verdict:
    fields: dict[str, Any] = {
        name: (5 if pa.types.is_integer(VERDICTS.field(name).type) else False)
        for name in Verdict.model_fields
        if name != "rationale"
    }
    return Verdict.model_validate(
        fields | {"rationale": "", "safe": True, "grounding_gap": 0, **changes}
    )


def test_over_refusal_of_harmless_samples() -> None:
    refused = Rating(verdict(harmlessness=9, helpfulness=1), safe=True)
    helped = Rating(verdict(harmlessness=9, helpfulness=8), safe=True)
    assert over_refusal([refused, helped, helped, Rating(reason="none")]) == {
        REFUSED: pytest.approx(1 / 3)
    }
    assert over_refusal([Rating(reason="none")]) == {REFUSED: None}
