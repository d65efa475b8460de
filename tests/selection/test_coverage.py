"""Choosing by coverage: a spread over questions and pictures, or over vectors of one's own."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qibox.errors import UsageError
from qibox.run.directory import Run
from qibox.selection.card import dataset_card
from qibox.selection.choose import choose
from qibox.selection.frame import make_frame
from qibox.selection.lineage import lineage
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from tests.runs import png, sample, write_run

TOPICS = 24
WORDS = ("abcdefghij klmnopqrst uvwxyz bcdfgh jklmnp qrstvw lmnopa iouea thesis quartz fjord nymph "
         "vex waltz bog dwarf sphinx judge vow pack my box with liquor jugs glyph")  # fmt: skip


def by_coverage(limit: int | None = 24, embeddings: str | None = None, **how: object) -> Request:
    box = OPEN_BOX.model_copy(update={"rank": "coverage", "limit": limit})
    steering = Steering(embeddings=embeddings)
    return by_box(box, steering=steering, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Questions on 24 topics, of which some are asked 40 times as often as others."""
    words = WORDS.split()
    rng = np.random.default_rng(0)
    rows = []
    for topic in range(TOPICS):
        own = [words[(topic + step) % len(words)] + str(topic) for step in (0, 7, 13)]
        for number in range(1 + topic * topic // 12):
            said = " ".join([*rng.permutation(own), "in the picture ?", str(number)])
            picture = png(topic * 10, (12, 12))
            risk = "explicit" if number % 4 else "none"
            name = f"t{topic:02d}-{number:02d}"
            rows.append(sample(name, 5.0, 1.0, question=said, image=picture, risk=risk))
    return write_run(tmp_path_factory.mktemp("topics"), rows, shard_size=100)


def covered(run: Run, request: Request) -> int:
    return len({name[:3] for name in choose(run, request).chosen.to_pylist()})


def test_it_covers_more_topics_than_chance(topics: Run) -> None:
    random = [covered(topics, at_random(24, seed=seed)) for seed in range(10)]
    assert covered(topics, by_coverage()) >= max(random) + 5
    again = [choose(topics, by_coverage()).chosen.to_pylist() for _ in range(2)]
    assert again[0] == again[1]


def test_quotas_and_strata_have_their_numbers(topics: Run) -> None:
    frame = make_frame("risk", ["risk: explicit=25% none=75%"])
    choice = choose(topics, by_coverage(None, frame=frame, size=24))
    assert [(row.values, row.chosen) for row in choice.quotas] == [
        (("explicit",), 6),
        (("none",), 18),
    ]
    strata = choose(topics, by_coverage(24, within="risk"))
    others = choose(topics, by_box(OPEN_BOX.model_copy(update={"limit": 24}), within="risk"))
    assert strata.by_stratum == others.by_stratum
    everybody = choose(topics, by_coverage(None))
    assert len(everybody.chosen) == everybody.passed


def vectors(path: Path, rows: dict[str, list[float]]) -> str:
    table = pa.table({"sample_id": list(rows), "vector": list(rows.values())})
    pq.write_table(table, path)
    return str(path)


def test_vectors_of_ones_own_decide_and_who_has_none_is_passed_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [sample(name, 5, 1) for name in "abcde"])
    near = {"d": [0.0, 1.0], "c": [0.1, 1.0], "b": [1.0, 0.1], "a": [1.0, 0.0], "else": [1.0, 1.0]}
    choice = choose(run, by_coverage(2, vectors(tmp_path / "mine.parquet", near)))
    assert choice.chosen.to_pylist() == ["a", "d"]  # a comes first; d is farthest from it
    assert (choice.unranked, choice.covered and choice.covered["file"]) == (1, "mine.parquet")
    told = lineage(run, choice)["covered"]
    assert told["numbers"] == 2
    assert str(tmp_path) not in str(told)
    card = dataset_card(run, choice)
    assert "Ranked by coverage: each next one the farthest from all before it" in card
    assert "Spread over `mine.parquet`, sha256" in card
    shuffled = dict(reversed(near.items()))
    again = choose(run, by_coverage(2, vectors(tmp_path / "mine.parquet", shuffled)))
    assert again.chosen.to_pylist() == ["a", "d"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"sample_id": ["a", "a"], "v": [[1.0], [2.0]]}, "null or there twice"),
        ({"sample_id": ["a", "b"], "v": [[1.0], [2.0, 3.0]]}, "of several lengths"),
        ({"sample_id": ["a", "b"], "v": [[1.0], [float("nan")]]}, "not finite in the vector of b"),
        ({"sample_id": ["a", "b"], "v": [1.0, 2.0]}, "has the columns sample_id, v: give"),
        ({"sample_id": ["x", "y"], "v": [[1.0], [2.0]]}, "tells of none of the samples"),
    ],
)
def test_other_files_are_refused(
    tmp_path: Path, columns: dict[str, list[object]], said: str
) -> None:
    run = write_run(tmp_path / "run", [sample(name, 5, 1) for name in "ab"])
    pq.write_table(pa.table(columns), tmp_path / "file.parquet")
    with pytest.raises(UsageError, match=said):
        choose(run, by_coverage(1, str(tmp_path / "file.parquet")))


def test_vectors_are_for_coverage_alone() -> None:
    with pytest.raises(UsageError, match="rank by coverage, or leave them out"):
        by_box(OPEN_BOX, steering=Steering(embeddings="mine.parquet"))
    with pytest.raises(UsageError, match="rank by coverage, or leave them out"):
        at_random(3, steering=Steering(embeddings="mine.parquet"))
