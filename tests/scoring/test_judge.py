from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from qibox.judges.hash import HashJudge
from qibox.judges.once import judge_once
from qibox.manifests import JudgeManifest
from qibox.run.layout import judgments_path, pool_path, responses_path
from qibox.run.newfile import NewFile
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.judge import JudgeResponses
from qibox.tables import JUDGMENTS, RESPONSES, SAMPLES, VERDICTS
from qibox.verdict import VerdictWeights

Said = Sequence[tuple[str, str | None]]  # (sample_id, text or None where there is no response)


class Counting:
    """The hash judge, remembering what it was asked."""

    def __init__(self) -> None:
        self.inner = HashJudge(VerdictWeights())
        self.looks_up = False
        self.asked: list[list[tuple[str, str]]] = []

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        assert samples.schema.remove_metadata().equals(SAMPLES)
        columns = (responses["sample_id"].to_pylist(), responses["text"].to_pylist())
        self.asked.append(list(zip(*columns, strict=True)))
        return self.inner.judge(samples, responses)

    def close(self) -> None:
        self.inner.close()


def pool(*ids: str) -> pa.Table:
    rows = [{"sample_id": i, "question": "q", "image": {"bytes": b"p", "path": None}} for i in ids]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def responses(said: Said, model: str = "m") -> pa.Table:
    rows = [
        {
            "sample_id": sample_id,
            "model": model,
            "k": k % 2,
            "text": text,
            "answer": text,
            "reason": "fell over" if text is None else None,
        }
        for k, (sample_id, text) in enumerate(said)
    ]
    return pa.Table.from_pylist(rows, schema=RESPONSES)


def test_equal_texts_on_one_sample_are_judged_once_and_each_keeps_its_row() -> None:
    judge = Counting()
    said = [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x"), ("b", None), ("a", "x")]
    verdicts = judge_once(judge, pool("a", "b"), responses(said))
    assert judge.asked == [[("a", "x"), ("a", "y"), ("b", "x")]]
    plain = judge.inner.judge(pool("a", "b"), responses([said[0], said[1], said[2]]))
    expected = plain.take([0, 1, 2, 0, 0, 0])["score"].to_pylist()
    expected[4] = None
    assert verdicts["score"].to_pylist() == expected
    assert verdicts["reason"].to_pylist() == [None] * 4 + ["no response: fell over", None]


def test_a_judge_that_looks_up_is_asked_of_every_row_and_says_the_same() -> None:
    said = [("a", "x"), ("a", "y"), ("b", "x"), ("a", "x")]
    judge = Counting()
    once = judge_once(judge, pool("a", "b"), responses(said))
    judge.looks_up = True
    assert judge_once(judge, pool("a", "b"), responses(said)).equals(once)
    with_none = judge_once(judge, pool("a", "b"), responses([*said, ("b", None)]))
    assert with_none.slice(0, 4).equals(once)
    assert with_none["reason"].to_pylist() == [None] * 4 + ["no response: fell over"]
    assert [len(asked) for asked in judge.asked] == [3, 4, 3]


def test_nothing_to_judge_is_no_error() -> None:
    judge = Counting()
    verdicts = judge_once(judge, pool("a"), responses([("a", None), ("a", None)]))
    assert judge.asked == [[]]
    assert verdicts["score"].to_pylist() == [None, None]
    assert verdicts.schema.equals(VERDICTS)


def test_verdicts_that_are_known_are_taken_over() -> None:
    judge = Counting()
    marked = judge.inner.judge(pool("a"), responses([("a", "x")]))
    at = VERDICTS.get_field_index("rationale")
    marked = marked.set_column(at, VERDICTS.field(at), pa.array(["from before"]))
    known = pa.table(
        [pa.array(["a"]), pa.array(["x"]), *marked.columns],
        schema=pa.schema([("sample_id", pa.string()), ("text", pa.string()), *VERDICTS]),
    )
    said = [("a", "y"), ("a", "x"), ("b", "x")]
    verdicts = judge_once(judge, pool("a", "b"), responses(said), [known])
    assert judge.asked == [[("a", "y"), ("b", "x")]]
    assert verdicts["rationale"].to_pylist() == ["drawn by hash", "from before", "drawn by hash"]


def unit(model: str) -> Unit:
    path = judgments_path("j", model, 0)
    return Unit(path, f"key-{model}", 0, 2, pool_path(0), model=model, judge="j")


def judging(kind: str = "hash", panel: tuple[str, ...] = ("m", "n")) -> JudgeResponses:
    model = {"source": "x"} if kind == "pairwise" else None
    fields = {"name": "j", "about": "", "kind": kind, "model": model}
    return JudgeResponses(JudgeManifest.model_validate(fields), panel, 2)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """One shard of two samples, two responses each by models m and n; n's last one failed."""
    storage = Storage(tmp_path)
    storage.write_table(pool_path(0), pool("a", "b"))
    for model, last in (("m", "z"), ("n", None)):
        said = [("a", "x"), ("a", model), ("b", "x"), ("b", last)]
        storage.write_table(responses_path(model, 0), responses(said, model))
    return storage


def test_a_shards_models_are_judged_together_and_written_apart(storage: Storage) -> None:
    judge = Counting()
    told: list[pa.Array] = []
    judging().do(judge, storage, (unit("m"), unit("n")), told.append)
    assert judge.asked == [[("a", "x"), ("a", "m"), ("b", "x"), ("b", "z"), ("a", "n")]]
    for model in ("m", "n"):
        table = storage.read_table(unit(model).path)
        assert table.schema.remove_metadata().equals(JUDGMENTS)
        assert storage.table_key(unit(model).path) == f"key-{model}"
        assert table["model"].to_pylist() == [model] * 4
        assert table["judge"].to_pylist() == ["j"] * 4
        assert table["sample_id"].to_pylist() == ["a", "a", "b", "b"]
        assert table["k"].to_pylist() == [0, 1, 0, 1]
    assert [reasons.null_count for reasons in told] == [4, 3]


def test_files_stand_in_the_order_of_their_units(storage: Storage) -> None:
    """A second try looks for none after the first that is not there."""
    names: list[str] = []

    class Noting(Storage):
        def _when_whole(self, file: NewFile) -> None:
            names.append(str(file.path))
            super()._when_whole(file)

    units = (unit("n"), unit("m"))
    judging().do(Counting(), Noting(storage.root), units, lambda _: None)
    assert names == [storage.path(each.path) for each in units]


def test_what_was_judged_before_is_not_judged_again(storage: Storage) -> None:
    first, second = Counting(), Counting()
    judging().do(first, storage, (unit("m"), unit("n")), lambda _: None)
    whole = storage.read_table(unit("n").path)
    storage.remove(unit("n").path)
    judging().do(second, storage, (unit("n"),), lambda _: None)
    assert second.asked == [[("a", "n")]]  # its other text was judged for m
    assert storage.read_table(unit("n").path).equals(whole)


def test_a_judge_that_compares_sees_all_responses_again(storage: Storage) -> None:
    judge = Counting()
    judging("pairwise").do(judge, storage, (unit("n"),), lambda _: None)
    assert set(judge.asked[0]) == {("a", "x"), ("a", "m"), ("b", "x"), ("b", "z"), ("a", "n")}
    assert storage.files("judgments") == [unit("n").path]


def test_policies_are_compared_each_with_itself_alone(storage: Storage) -> None:
    judge = Counting()
    judging("pairwise", ()).do(judge, storage, (unit("m"), unit("n")), lambda _: None)
    assert judge.asked == [
        [("a", "x"), ("a", "m"), ("b", "x"), ("b", "z")],
        [("a", "x"), ("a", "n"), ("b", "x")],
    ]
    assert storage.files("judgments") == [unit("m").path, unit("n").path]


def test_part_of_a_shard_is_judged_where_its_answers_are_fewer(storage: Storage) -> None:
    storage.write_table(pool_path(0), pool("a", "b", "c"))
    judging(panel=("m",)).do(Counting(), storage, (unit("m"),), lambda _: None)
    assert storage.read_table(unit("m").path)["sample_id"].to_pylist() == ["a", "a", "b", "b"]
