from pathlib import Path

import pyarrow as pa
import pytest

from qibox.cli.account import print_summary
from qibox.engines.completions import Completion, assemble
from qibox.manifests.asking import Marks
from qibox.run.layout import responses_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.endings import counting_writer, counts_of
from qibox.scoring.footers import read_footers
from qibox.scoring.generate import make_responses
from qibox.scoring.shares import ModelShare, model_shares
from qibox.scoring.summary import StageCount, Summary

SAID = [
    Completion("<think>a</think>b", "stop", 3),
    Completion("<think>a", "length", 3),
    Completion("b", "stop", 3),
    Completion("b c", "length", 3),
    Completion(reason="too long a prompt"),
]


def unit(storage: Storage, model: str, said: list[Completion], marks: Marks | None) -> Unit:
    """A unit of responses that is done."""
    keys = [f"s{i}" for i in range(len(said))]
    responses = make_responses(assemble(keys, [[each] for each in said]), model, marks)
    path = responses_path(model, 0)
    storage.write_table(path, responses)
    return Unit(path, "key", 0, len(said), "", model=model)


def test_shares_count_what_reasons_what_was_cut_off_and_what_is_not_there(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    units = [
        unit(storage, "a", SAID, Marks()),
        unit(storage, "b", SAID[2:3], None),
        unit(storage, "c", SAID[4:], Marks()),
    ]
    found = model_shares(storage, units, {"c": True, "a": True, "b": False, "absent": True})
    assert found == (
        ModelShare("c", rows=1, reasoned=0, cut_off=0, refused=1, expected=True),
        ModelShare("a", rows=5, reasoned=1, cut_off=2, refused=1, expected=True),
        ModelShare("b", rows=1, reasoned=0, cut_off=0, refused=0, expected=False),
    )
    assert [share.too_few for share in found] == [True, True, False]
    half = ModelShare("h", rows=2, reasoned=1, cut_off=0, refused=0, expected=True)
    assert not half.too_few


def test_a_model_that_seldom_reasons_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    shares = (
        ModelShare("shy", rows=5, reasoned=1, cut_off=2, refused=1, expected=True),
        ModelShare("plain", rows=5, reasoned=0, cut_off=0, refused=0, expected=False),
    )
    stage = StageCount("responses", total=10, good=9, failed=1, pending=0, reasons={})
    print_summary(Summary((stage,), 9, 0, makes_scores=False, models=shares), "run")
    said = capsys.readouterr()
    assert "Warning: shy: reasoning was asked for" in said.err
    assert "plain" not in said.err
    (row,) = (line for line in said.out.splitlines() if "shy" in line)
    assert [part for part in row.split() if part[0].isdigit()] == ["20.0", "40.0", "20.0"]


def test_a_file_of_several_groups_of_rows_is_counted_whole(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    path = responses_path("m", 0)
    responses = make_responses(assemble(list("abcde"), [[each] for each in SAID]), "m", Marks())
    with storage.table_writer(path, responses.schema) as writer:
        writer.write_table(pa.concat_tables([responses] * 3), row_group_size=2)
    (share,) = model_shares(storage, [Unit(path, "key", 0, 15, "", model="m")], {"m": True})
    assert (share.rows, share.reasoned, share.cut_off, share.refused) == (15, 3, 6, 3)


def test_what_was_counted_when_it_was_written_is_told_by_the_footer(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    units = [unit(storage, "a", SAID, Marks()), unit(storage, "c", SAID[4:], Marks())]
    paths = [each.path for each in units]
    expected = {"a": True, "c": False}
    read = model_shares(storage, units, expected)
    footers = read_footers(storage, paths)
    assert [footers[path].counts for path in paths] == [None, None]  # as of an earlier version
    tables = {path: storage.read_table(path) for path in paths}
    for path, table in tables.items():
        with counting_writer(storage, path, table.schema, "key") as writer:
            writer.write_table(table.slice(0, 2))
            writer.write_table(table.slice(2))
    footers = read_footers(storage, paths)
    assert [footers[path].counts for path in paths] == [counts_of(tables[path]) for path in paths]
    for path in paths:
        storage.remove(path)
    assert model_shares(storage, units, expected, footers) == read


def test_other_tables_tell_nothing_of_how_responses_ended(tmp_path: Path) -> None:
    storage, rows = Storage(tmp_path), pa.table({"reason": ["why"]})
    with counting_writer(storage, "rows", rows.schema, "key") as writer:
        writer.write_table(rows)
    assert read_footers(storage, ["rows"])["rows"].counts is None
    assert counts_of(rows) is None
