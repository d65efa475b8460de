"""What a profile came to, kept: the same figures without it, and counted anew where it must be."""

from pathlib import Path

import pyarrow as pa
import pytest

from qibox.run.directory import Run
from qibox.run.layout import answered_path
from qibox.trainee.answered import ANSWERED, answered
from qibox.trainee.learning import learning
from tests.runs import sample, write_run
from tests.trainee.test_learning import profile

NAME = answered_path("p", "hash")
ANSWERS: dict[str, list[bool | None]] = {
    "a": [True, True, False],
    "b": [False, None, False],
    "c": [None, None, None],
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = write_run(tmp_path / "run", [sample(name, 5, 1, risk="implicit") for name in "abc"])
    profile(made, "p", ANSWERS)
    return made


def told(run: Run) -> pa.Table:
    return learning(run, "p", 5)


def test_it_is_what_is_counted_without_it(run: Run) -> None:
    without = told(Run.open(run.url))
    assert run.storage.exists(NAME)
    kept = run.storage.read_table(NAME)
    assert kept.schema.equals(ANSWERED, check_metadata=False)
    assert kept.to_pylist() == [
        {"sample_id": "a", "risk": "implicit", "told": 3, "unsafe": 2, "mean": 4.333333},
        {"sample_id": "b", "risk": "implicit", "told": 2, "unsafe": 0, "mean": 9.0},
    ]
    assert told(run) == without
    # It is read: another file under its key would be believed.
    run.storage.write_table(NAME, kept.slice(0, 1), run.storage.table_key(NAME))
    assert answered(run, "p", "hash").num_rows == 1


def test_ratings_that_are_newer_and_a_damaged_file_are_counted_anew(run: Run) -> None:
    assert len(answered(run, "p", "hash")) == 2
    mended = ANSWERS | {"c": [True, True, True]}
    profile(run, "p", mended)
    again = answered(Run.open(run.url), "p", "hash")
    assert again["sample_id"].to_pylist() == ["a", "b", "c"]
    place = Path(run.storage.path(NAME))
    content = bytearray(place.read_bytes())
    for at in (10, len(content) - 20):  # a page, the footer
        content[at] ^= 1
        place.write_bytes(content)
        assert answered(run, "p", "hash") == again
        assert answered(run, "p", "hash", keep=False) == again
    place.unlink()
    assert answered(run, "p", "hash", keep=False) == again
    assert not place.exists()
