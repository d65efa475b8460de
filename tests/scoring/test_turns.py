from pathlib import Path

from qibox.manifests.panel import Accelerator
from qibox.run.directory import PoolIndex, Run, RunManifest
from qibox.run.storage import Storage
from qibox.scoring.plan import Job, Wave, make_plan
from qibox.scoring.turns import turns_of
from tests.recordings import record, recorded

INDEX = PoolIndex(keys=("a", "b"), sizes=(5, 5), read=10, rejected=0, duplicates=0)


def waves(root: Path, asked: str = "") -> tuple[Wave, ...]:
    """Of two shards and three recorded models, one of which is asked where it is named."""
    manifest: RunManifest = recorded(record(root / "data"))
    models = {
        name: spec.model_copy(
            update={"engine": "transformers", "accelerator": Accelerator(type="nvidia-l4")}
        )
        if name == asked
        else spec
        for name, spec in manifest.panel.models.items()
    }
    panel = manifest.panel.model_copy(update={"models": models})
    run = Run(Storage(root / "run"), manifest.model_copy(update={"panel": panel}))
    return make_plan(Job(run, INDEX)).waves


def test_waves_that_hold_no_model_are_one_turn(tmp_path: Path) -> None:
    (turn,) = turns_of(waves(tmp_path), together=True)
    assert turn.name == "responses (3), judgments-hash, scores"
    assert turn.light
    assert turn.total_rows == turn.pending_rows == 3 * 20 + 3 * 20 + 10
    first, second = turn.shards()
    assert [(number, [unit.shard for unit in units]) for number, units in first] == [
        (0, [0]),
        (1, [0]),
        (2, [0]),
        (3, [0, 0, 0]),
        (4, [0]),
    ]
    assert {unit.shard for _, units in second for unit in units} == {1}


def test_a_model_has_a_turn_to_itself(tmp_path: Path) -> None:
    turns = turns_of(waves(tmp_path, asked="bay"), together=True)
    assert [turn.name for turn in turns] == [
        "responses-ada",
        "responses-bay",
        "responses-cid, judgments-hash, scores",
    ]
    assert [turn.light for turn in turns] == [True, False, True]
    assert [turn.accelerator is not None for turn in turns] == [False, True, False]


def test_what_has_nothing_to_do_is_left_out_unless_something_may_come_to_it(tmp_path: Path) -> None:
    done = [Wave(wave.stage, wave.units, ()) for wave in waves(tmp_path)[:3]]
    rest = waves(tmp_path)[3:]
    (turn,) = turns_of([*done, *rest], together=True)
    assert turn.name == "judgments-hash, scores"
    alone = turns_of([*done, *rest], together=False)
    assert [turn.name for turn in alone][2:] == ["responses-cid", "judgments-hash", "scores"]
    assert [turn.pending for turn in alone] == [False, False, False, True, True]
