import pytest

from qibox.errors import UsageError
from qibox.judges.placing import at_place, placed
from qibox.manifests import JudgeManifest, load_manifest
from qibox.run.units import judgments_key

URL = "http://127.0.0.1:8000/v1"
grm, oracle = (load_manifest(JudgeManifest, name) for name in ("grm", "oracle"))
second = load_manifest(JudgeManifest, "held-out")


def test_a_place_is_for_the_one_judge_with_a_model_or_for_the_named_one() -> None:
    asked, other = placed([grm, oracle], [URL])
    assert asked.model is not None
    assert asked.model.at == URL
    assert other == oracle
    both = placed([grm, second], [f"held-out={URL}"])
    assert [judge.model.at for judge in both if judge.model] == [None, URL]


def test_a_place_changes_no_key_and_an_earlier_one_is_forgotten() -> None:
    there = at_place(grm, URL)
    assert judgments_key("responses", there) == judgments_key("responses", grm)
    assert placed([there]) == [grm]


@pytest.mark.parametrize(
    ("judges", "places", "message"),
    [
        ([oracle], [URL], "judge 'oracle' has no model that is served"),
        ([grm, second], [URL], f"does not say whose it is: give grm={URL}"),
        ([grm], [f"gram={URL}"], "no judge 'gram' is asked here, but grm"),
        ([grm], [URL, f"grm={URL}"], "judge 'grm' is given two addresses"),
        ([grm], ["127.0.0.1:8000"], "127.0.0.1:8000 is no address"),
        ([grm], ["http://user:word@host/v1"], "without key or password"),
        ([load_manifest(JudgeManifest, "gpt-4o-mini")], [URL], "is behind an endpoint"),
    ],
)
def test_wrong_places_are_one_sentence(
    judges: list[JudgeManifest], places: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        placed(judges, places)
    assert refused.value.fields == ("judge_at",)
