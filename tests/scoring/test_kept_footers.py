"""What a finished scoring's footers tell is noted, and believed of unchanged files alone."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qibox.errors import QiboxError, UsageError
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.scoring import footers
from qibox.scoring.endings import Counts
from qibox.scoring.kept_footers import NAME, keep_footers, recall_footers
from qibox.scoring.plan import Job, make_plan
from qibox.selection.choose import choose
from qibox.selection.request import OPEN_BOX, by_box
from qibox.selection.scored import require_scores
from tests.runs import sample, write_run

REQUEST = by_box(OPEN_BOX)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run whose footers are noted, and in this process forgotten."""
    run = write_run(tmp_path / "run", [sample(name, 5, 2) for name in "abcd"])
    index = run.pool_index()
    assert index is not None
    keep_footers(run.storage, run.home, make_plan(Job(run, index)).footers)
    monkeypatch.setattr(footers, "_remembered", {})
    return run


def opened(monkeypatch: pytest.MonkeyPatch, run: Run) -> list[str]:
    """The files whose footers are read to see that a run is scored."""
    names: list[str] = []
    real = footers._read

    def read(storage: Storage, name: str) -> Any:
        names.append(name)
        return real(storage, name)

    with monkeypatch.context() as here:
        here.setattr(footers, "_read", read)
        require_scores(run)
    return names


def test_no_unchanged_file_is_opened(kept: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opened(monkeypatch, kept) == []
    assert choose(kept, REQUEST).chosen.to_pylist() == list("abcd")
    touched = "judgments/judge=hash/model=first/shard-00001.parquet"
    file = Path(kept.storage.path(touched))
    file.write_bytes(file.read_bytes())
    assert opened(monkeypatch, kept) == [touched]


def test_what_is_noted_is_what_the_footers_told(kept: Run) -> None:
    storage, counts = kept.storage, Counts(rows=7, reasoned=3, cut_off=1, refused=2)
    first, *others = footers.read_footers(storage, storage.files("responses")).items()
    noted = {first[0]: replace(first[1], counts=counts), **dict(others)}
    keep_footers(storage, kept.home, noted)
    lines = map(json.loads, storage.read_text(NAME).splitlines()[:-1])
    told = {name: more[-1] for name, *more in lines}  # the counts, by their names
    assert told == {**dict.fromkeys(noted), first[0]: counts._asdict()}
    footers._remembered.clear()
    recall_footers(storage, kept.home)
    found = footers._remembered[storage.url]
    assert {name: footer for name, (_, footer) in found.items()} == noted


def test_what_changed_since_is_noticed(kept: Run) -> None:
    file = Path(kept.storage.path("scores/shard-00001.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:30] + bytes([whole[30] ^ 1]) + whole[31:])  # in a page
    with pytest.raises(QiboxError, match=r"scored on 1 of its 2 shards|shard-00001"):
        choose(kept, REQUEST)
    file.unlink()
    with pytest.raises(UsageError, match="is scored on 1 of its 2 shards"):
        choose(kept, REQUEST)
    file.write_bytes(whole)
    name = "judgments/judge=hash/model=first/shard-00000.parquet"
    table, key = kept.storage.read_table(name), kept.storage.table_key(name)
    with kept.storage.table_writer(name, table.schema, key, edition="mended") as writer:
        writer.write_table(table)
    with pytest.raises(UsageError, match="are of before failed answers were asked again"):
        choose(kept, REQUEST)


@pytest.mark.parametrize("content", [b"", b"\xff", b"0123 [[1]]", b"[]"])
def test_a_damaged_note_is_as_none(kept: Run, content: bytes) -> None:
    Path(kept.storage.path(NAME)).write_bytes(content)
    assert choose(kept, REQUEST).chosen.to_pylist() == list("abcd")
