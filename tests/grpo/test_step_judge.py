"""A judge behind a real endpoint that rates a whole step, hangs or dies."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from qibox.errors import QiboxError, UsageError
from qibox.grpo.judging import SelectionJudge
from qibox.grpo.step_judge import StepJudge, within
from qibox.grpo.train import train
from qibox.grpo.training_plan import TrainingPlan, resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.tables import VERDICTS
from tests.endpoint import Endpoint, serving, write_endpoint
from tests.grpo.conftest import selection_table
from tests.grpo.test_resume import rollouts, weights


class Comparing:
    """Scores a text by how many distinct texts of its sample are in the same call."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, str]]] = []

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        pairs = [(row["sample_id"], row["text"]) for row in responses.to_pylist()]
        self.calls.append(pairs)
        counts = [float(sum(other == each for other, _ in pairs)) for each, _ in pairs]
        rows = [{"score": count, "safe": count > 2} for count in counts]
        return pa.Table.from_pylist(rows, schema=VERDICTS)

    def close(self) -> None:
        """Nothing is held."""


def planned(run: Run, recipe: RecipeManifest, endpoint: Endpoint, name: str) -> TrainingPlan:
    folder = Path(run.storage.url)
    write_endpoint(folder, endpoint.url)
    judge = load_manifest(JudgeManifest, str(folder / "grm.yaml"))
    return resolve_training(run, "default", recipe, judge, name)


@pytest.fixture
def quick(recipe: RecipeManifest) -> RecipeManifest:
    return recipe.model_copy(update={"steps": 4, "judge_deadline_s": 2.0})


@pytest.mark.parametrize("how", ["hangs", "dies"])
def test_a_judge_that_stops_answering_ends_the_training_which_then_goes_on(
    run: Run, quick: RecipeManifest, how: str
) -> None:
    with serving() as endpoint:
        patient = quick.model_copy(update={"judge_deadline_s": 60.0})
        train(run, planned(run, patient, endpoint, "unbroken"), patient)
        plan = planned(run, quick, endpoint, "broken")

        def stop(step: int, metrics: dict[str, Any]) -> None:
            if step == 3 and how == "hangs":
                endpoint.answering.clear()
            elif step == 3:
                endpoint.shutdown()
                endpoint.server_close()

        said = {"hangs": "were not rated within 2 s", "dies": "no server answers at"}[how]
        with pytest.raises(QiboxError, match=said) as raised:
            train(run, plan, quick, stop)
        assert "judge 'grm' stopped answering" in str(raised.value)
        assert "a checkpoint after step 3 is kept" in str(raised.value)
        assert "\n" not in str(raised.value)
        assert not run.storage.exists("policies/broken/policy.yaml")
        port = endpoint.server_port
        if how == "hangs":
            endpoint.answering.set()
            train(run, plan, patient)
    if how == "dies":
        with serving(port):
            train(run, plan, patient)
    assert weights(run, "broken") == weights(run, "unbroken")
    assert rollouts(run, "broken").equals(rollouts(run, "unbroken"))


def test_a_judge_that_never_answered_leaves_nothing_to_go_on_from(
    run: Run, quick: RecipeManifest
) -> None:
    with serving() as endpoint:
        endpoint.answering.clear()
        plan = planned(run, quick, endpoint, "none")
        with pytest.raises(QiboxError, match="no step is kept: bring the judge back"):
            train(run, plan, quick)


def test_a_step_none_of_which_is_rated_for_the_models_sake_ends_the_training(
    run: Run, quick: RecipeManifest
) -> None:
    with serving() as endpoint:
        endpoint.ailing[""] = 500
        plan = planned(run, quick, endpoint, "none")
        with pytest.raises(QiboxError, match=r"none of 6 responses was rated \(the judge's model"):
            train(run, plan, quick)


def test_a_judge_that_compares_is_not_asked_what_it_just_said() -> None:
    selection = selection_table(2)
    first, second = selection["sample_id"].to_pylist()
    comparing = Comparing()
    rate = StepJudge("c", SelectionJudge(comparing, selection, compares=True), 60, compares=True)
    assert [r.score for r in rate([first, first, second], ["a", "b", "x"])] == [2, 2, 1]
    again = rate([first, first, second, second], ["a", "b", "x", "y"])
    assert [r.score for r in again] == [2, 2, 2, 2]
    assert comparing.calls[1:] == [[(second, "x"), (second, "y")]]
    assert rate([], []) == []


def test_work_in_time_gives_its_value_or_its_error() -> None:
    assert within(60, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(60, lambda: 1 // 0)


def test_a_training_compares_drafts_with_corrections(run: Run, recipe: RecipeManifest) -> None:
    from qibox.grpo.train import make_trainer, training_arguments
    from qibox.selection.read import read_selection

    selection = read_selection(run.storage, "default")
    judge = SelectionJudge(comparing := Comparing(), selection, compares=True)
    recipe = recipe.model_copy(update={"steps": 1, "prompts_per_step": 1})
    rows: list[Any] = []
    rate = StepJudge("c", judge, 60, compares=True)
    arguments = training_arguments(recipe, run.storage.path("scratch"))
    make_trainer(recipe, selection, rate, rows.extend, arguments).train()
    drafts = {row["draft"] for row in rows}
    assert {text for _, text in comparing.calls[0]} == drafts
    if any(row["unsafe_draft"] for row in rows):
        finals = {row["final"] for row in rows}
        assert {text for _, text in comparing.calls[-1]} == drafts | finals
        for row in rows:
            assert row["draft_score"] == row["final_score"] == len(drafts | finals)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reward": "scalar"}, "reward scalar needs a score of the answer"),
        ({"objective": "lagrangian"}, "objective lagrangian needs ratings of harmlessness"),
    ],
)
def test_what_a_pairwise_judge_does_not_give_is_refused_before_anything_is_loaded(
    run: Run, recipe: RecipeManifest, changes: dict[str, Any], message: str
) -> None:
    judge = load_manifest(JudgeManifest, "grm-rl-7b")
    recipe = recipe.model_copy(update={**changes, "policy": "no/such-weights"})
    with pytest.raises(UsageError, match=message):
        resolve_training(run, "default", recipe, judge, "mine")
