"""Other wordings of chosen samples, by a rephraser, kept where a judge says that they ask the same.

Writes RUN/rephrasings/<rephraser>-<key>.parquet, a row of :data:`WORDINGS` for each wording, under
a key of all that decides them: the rephraser, the judge and the seed. What stands there is not
asked for again, so the same command gives the same bytes whatever an endpoint would say next time,
and what was stopped goes on. A sample of which some wording did not come is asked again by the next
command.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from qibox.augment.rewording import Said, load_rephraser
from qibox.augment.settled import Settled
from qibox.errors import DamagedFileError
from qibox.judges.meaning import Wording, meaning_judge
from qibox.likeness.near import plain
from qibox.pool.chosen import chosen_rows
from qibox.run.directory import Run
from qibox.run.layout import rephrasings_path
from qibox.run.units import digest

SAME_WORDS = "it has the same words"

WORDINGS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("k", pa.int32()),
        ("question", pa.string()),  # as the pool has it
        ("wording", pa.string()),  # null where none came
        ("same", pa.bool_()),  # whether it asks the same; null: not judged
        ("reason", pa.string()),  # the judge's, or why there is no wording or no ruling
    ]
)
REFUSED = pa.schema([field for field in WORDINGS if field.name != "same"])

# What is done, for how many samples since the last call, and for how many in all.
Told = Callable[[str, int, int], None]
Row = dict[str, Any]  # of WORDINGS


@dataclass(frozen=True)
class Rephrased:
    """What came of it."""

    rows: pa.Table  # of WORDINGS, by sample_id and k
    about: dict[str, Any]  # who was asked

    @property
    def kept(self) -> pa.Table:
        """sample_id and question of the wordings that ask the same."""
        rows = self.rows.filter(pc.fill_null(self.rows["same"], False))
        return pa.table({"sample_id": rows["sample_id"], "question": rows["wording"]})

    @property
    def refused(self) -> pa.Table:
        """A row of :data:`REFUSED` for each of the others."""
        rows = self.rows.filter(pc.invert(pc.fill_null(self.rows["same"], False)))
        return rows.select(REFUSED.names)

    @property
    def lineage(self) -> dict[str, Any]:
        """What determines the variants, and how many were refused."""
        kept = self.kept
        counts = {"questions": len(kept), "refused": len(self.rows) - len(kept)}
        return {**self.about, **counts, "sha256": digest(kept.to_pylist())}


def rephrased(run: Run, settled: Settled, chosen: pa.Array, told: Told | None = None) -> Rephrased:
    """Other wordings of these samples: asked for and judged, unless they are known already.

    Raises:
        UsageError: the judge is of a kind that cannot say whether a question asks the same.
        QiboxError: a model cannot be started, or the work was stopped.
    """
    work = _Work(run, settled, told)
    ids: list[str] = chosen.to_pylist()
    work.ask([name for name in ids if name not in work.rows])
    work.judge([name for name in ids if any(map(_waits, work.rows[name]))])
    rows = [row for name in sorted(ids) for row in work.rows[name]]
    return Rephrased(pa.Table.from_pylist(rows, schema=WORDINGS), settled.about)


class _Work:
    """Rows by sample, written after each shard of the pool."""

    def __init__(self, run: Run, settled: Settled, told: Told | None) -> None:
        self._run, self._how = run, settled
        self._told: Told = told or (lambda what, done, of: None)
        self._path = rephrasings_path(settled.rephraser.name, settled.key)
        self.rows: dict[str, list[Row]] = {}
        for row in self._known().to_pylist():
            self.rows.setdefault(row["sample_id"], []).append(row)

    def _known(self) -> pa.Table:
        try:
            if self._run.storage.table_key(self._path) == self._how.key:
                return self._run.storage.read_table(self._path)
        except (FileNotFoundError, DamagedFileError):
            pass  # all are asked for anew
        return WORDINGS.empty_table()

    def ask(self, ids: Sequence[str]) -> None:
        """Ask for the wordings of these samples."""
        if not ids:
            return
        remote, wanted = self._how.asking.remote_code, pa.array(ids, pa.string())
        columns = ["sample_id", "question", "meta"]
        with closing(load_rephraser(self._how.rephraser, allow_remote_code=remote)) as rephraser:
            for _, samples in chosen_rows(self._run, wanted, columns):
                found = rephraser.reword(samples)
                for sample, said in zip(samples.to_pylist(), found, strict=True):
                    self.rows[sample["sample_id"]] = list(_rows(sample, said))
                self._write()
                self._told("rephrasing", len(samples), len(ids))

    def judge(self, ids: Sequence[str]) -> None:
        """Ask the judge about the wordings of these samples that wait for it."""
        if not ids:
            return
        remote, wanted = self._how.asking.remote_code, pa.array(ids, pa.string())
        with closing(meaning_judge(self._how.judge, allow_remote_code=remote)) as judge:
            for _, samples in chosen_rows(self._run, wanted):
                names = enumerate(samples["sample_id"].to_pylist())
                asked = [(at, row) for at, name in names for row in self.rows[name] if _waits(row)]
                rulings = judge.rule(samples, [Wording(at, row["wording"]) for at, row in asked])
                for (_, row), ruling in zip(asked, rulings, strict=True):
                    row |= {"same": ruling.same, "reason": ruling.reason}
                self._write()
                self._told("judging wordings", len(samples), len(ids))

    def _write(self) -> None:
        """Keep what needs not be asked for again."""
        whole = [rows for rows in self.rows.values() if all(row["wording"] for row in rows)]
        table = pa.Table.from_pylist([row for rows in whole for row in rows], schema=WORDINGS)
        self._run.storage.write_table(self._path, table, self._how.key)


def _rows(sample: Row, said: Iterable[Said]) -> Iterable[Row]:
    """A row for each wording; one in the words of the question, or of another one, is refused."""
    seen = {plain(sample["question"])}
    for k, each in enumerate(said):
        again = each.text is not None and plain(each.text) in seen
        seen.add(plain(each.text))
        yield {
            "sample_id": sample["sample_id"],
            "k": k,
            "question": sample["question"],
            "wording": each.text,
            "same": False if again else None,
            "reason": SAME_WORDS if again else each.reason,
        }


def _waits(row: Row) -> bool:
    """Whether a judge has to be asked about it."""
    return row["wording"] is not None and row["same"] is None
