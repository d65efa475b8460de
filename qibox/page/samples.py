"""What the page asks of a run, fast enough for a box that moves: counts, strata, samples in order.

The scores and strata of all samples are held in a database of their own that touches no file;
pictures, answers and verdicts are read from the few row groups that hold them, and checked there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from qibox.box import Box
from qibox.catalog.connect import reading
from qibox.figures import data
from qibox.figures.data import DIMENSIONS, UNKNOWN, inside_of
from qibox.opened import Answer, Sample
from qibox.run.directory import Run
from qibox.run.layout import judgments_path, pool_path, responses_path, scores_path
from qibox.run.mending import telling_damage
from qibox.selection.mix import MixRow, mix_rows
from qibox.tables import SCORES

if TYPE_CHECKING:
    import pandas as pd

ORDERS: Final = {  # what the gallery may be sorted by
    "most unstable": "instability desc",
    "least unstable": "instability",
    "highest quality": "quality desc",
    "lowest quality": "quality",
    "models disagree most": "disagreement desc",
    "by id": "sample_id",
}
_FACTS: Final = ("sample_id", "source", "question", "category", "severity", "risk")


@dataclass(frozen=True)
class Filter:
    """Which samples of a box are gone through: None and no words let all pass."""

    risk: str | None = None
    category: str | None = None
    words: str = ""  # that the question or the id has, whatever their case


ALL: Final = Filter()


class Samples:
    """All samples of a run by their scores and strata; each session asks through its own cursor."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._database = duckdb.connect(":memory:")
        self._load()
        self._database.execute("set enable_external_access = false")
        self._database.execute("set python_enable_replacements = false")
        self._database.execute("set lock_configuration = true")

    def _load(self) -> None:
        storage, index = self.run.storage, self.run.pool_index()
        there = {*storage.files("pool"), *storage.files("scores")}
        pool, scores = [], []
        for shard in range(len(index.keys) if index else 0):
            if pool_path(shard) in there:
                table = storage.read_table(pool_path(shard), columns=list(_FACTS))
                pool.append(
                    table.append_column("shard", pa.array([shard] * len(table), pa.int32()))
                )
            if scores_path(shard) in there:
                scores.append(storage.read_table(scores_path(shard)))
        empty = [(name, pa.string()) for name in _FACTS] + [("shard", pa.int32())]
        self._database.register(
            "p", pa.concat_tables(pool) if pool else pa.schema(empty).empty_table()
        )
        self._database.register(
            "s",
            pa.concat_tables(scores, promote_options="default") if scores else SCORES.empty_table(),
        )
        self._database.execute(
            "create table samples as select p.sample_id, shard, question, "
            + ", ".join(f"coalesce({n}::varchar, '{UNKNOWN}') as {n}" for n in DIMENSIONS)
            + ", s.* exclude (sample_id) from p left join s using (sample_id)"
        )
        self._database.register("spreads", self._spreads())
        self._database.execute(
            "create table spread as select policy, sample_id, spread as value from spreads"
        )
        for name in ("p", "s", "spreads"):
            self._database.unregister(name)

    def _spreads(self) -> pa.Table:
        """How far the answers of each profiled policy lie apart, by the run's first judge."""
        judge = self.run.manifest.judges[0].name
        with reading(self.run, ("profiles",)) as connection:
            return connection.sql(
                "select policy, sample_id, spread from profiles where judge = ?", params=[judge]
            ).to_arrow_table()

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query of our own; what a person typed is only ever among the values."""
        return self._database.cursor().execute(query, list(values)).fetchall()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of one's own to the table samples."""
        return self._database.cursor()

    def count(self, box: Box) -> tuple[int, int]:
        """Samples in the box, and samples that have scores."""
        rows = self.ask(
            f"select count(*) filter ({inside_of([('', box)])}), count(quality) from samples"
        )
        return int(rows[0][0]), int(rows[0][1])

    def density(self) -> "pd.DataFrame":
        """All samples by quality and instability: see :func:`qibox.figures.data.density`."""
        return data.density(self.cursor(), "samples")

    def histograms(self, box: Box) -> "pd.DataFrame":
        """Q, U, D and V of all samples and of those in the box."""
        return data.score_counts(self.cursor(), inside_of([("", box)]), "samples")

    def colourings(self) -> dict[str, tuple[str, str]]:
        """What the density can be coloured by: a name with its unit → column and table in SQL."""
        found = {
            "kind of risk": ("risk", "samples"),
            "category": ("category", "samples"),
            "safe answers (share, 0 to 1)": ("safe_rate", "samples"),
        }
        for (policy,) in self.ask("select distinct policy from spread order by policy"):
            quoted = str(policy).replace("'", "''")
            own = f"(select * from samples join spread using (sample_id) where policy = '{quoted}')"
            found[f"spread of {policy} (std, points)"] = ("value", own)
        return found

    def coloured(self, name: str) -> "pd.DataFrame":
        """Bins by one of :meth:`colourings`: see :func:`qibox.figures.data.coloured`."""
        return data.coloured(self.cursor(), *self.colourings()[name])

    def mix(self, box: Box) -> list[MixRow]:
        """How many samples of each stratum are in the pool and in the box, the largest first."""
        inside = inside_of([("", box)])
        found: list[MixRow] = []
        for name in DIMENSIONS:
            counts = self.ask(
                f"select {name}, count(*), count(*) filter ({inside}) from samples "
                f"group by {name} order by 2 desc, 1"
            )
            found += mix_rows(name, [(str(v), had, has) for v, had, has in counts])
        return found

    def categories(self) -> list[str]:
        """Those of the pool, by name."""
        rows = self.ask("select distinct category from samples order by category")
        return [str(name) for (name,) in rows]

    def dozen(self, box: Box, limit: int = 12) -> list[tuple[str, int]]:
        """The most unstable samples in a box with their shards, of each kind of risk in turn."""
        return self.ask(
            "select sample_id, shard from (select *, row_number() over (partition by risk "
            "order by instability desc, sample_id) as turn from samples "
            f"where {inside_of([('', box)])}) order by turn, risk limit {limit:d}"
        )

    def ids(
        self, box: Box, order: str, chosen: Filter, limit: int, offset: int = 0
    ) -> list[tuple[str, int]]:
        """Ids of samples in the box with the shard that each is in, in order."""
        where, values = _where(box, chosen)
        return self.ask(
            f"select sample_id, shard from samples where {where} "
            f"order by {ORDERS[order]}, sample_id limit {limit:d} offset {offset:d}",
            *values,
        )

    def matching(self, box: Box, chosen: Filter = ALL) -> int:
        """How many samples :meth:`ids` would go through."""
        where, values = _where(box, chosen)
        return int(self.ask(f"select count(*) from samples where {where}", *values)[0][0])

    def read(self, found: Sequence[tuple[str, int]], answers: bool = True) -> list[Sample]:
        """Samples with their pictures, scores and, unless told otherwise, answers and verdicts.

        For a gallery, :meth:`verdicts` counts what the answers came to.
        """
        rows: dict[str, dict[str, Any]] = {}
        said: dict[str, list[Answer]] = {sample_id: [] for sample_id, _ in found}
        for shard in sorted({shard for _, shard in found}):
            ids = [sample_id for sample_id, at in found if at == shard]
            rows |= {row["sample_id"]: row for row in self._rows(pool_path(shard), ids)}
            for sample_id, answer in self._answers(shard, ids) if answers else ():
                said[sample_id].append(answer)
        marks = ", ".join("?" for _ in found) or "null"
        known = self._database.cursor().sql(
            f"select * from samples where sample_id in ({marks})",
            params=[i for i, _ in found],
        )
        scores = {row["sample_id"]: row for row in known.to_arrow_table().to_pylist()}
        return [Sample(rows[i], scores.get(i), tuple(said[i]), ()) for i, _ in found if i in rows]

    def verdicts(self, found: Sequence[tuple[str, int]]) -> dict[str, tuple[int, int]]:
        """How many answers to each sample the first judge calls unsafe, of how many it judged."""
        judge = self.run.manifest.judges[0].name
        counts = {sample_id: (0, 0) for sample_id, _ in found}
        for shard in sorted({shard for _, shard in found}):
            ids = [sample_id for sample_id, at in found if at == shard]
            for model in self.run.manifest.panel.models:
                name = judgments_path(judge, model, shard)
                for row in self._rows(name, ids, ["sample_id", "safe"]):
                    unsafe, judged = counts[row["sample_id"]]
                    if row["safe"] is not None:
                        counts[row["sample_id"]] = unsafe + (not row["safe"]), judged + 1
        return counts

    def _answers(self, shard: int, ids: list[str]) -> list[tuple[str, Answer]]:
        manifest = self.run.manifest
        found = []
        for model in manifest.panel.models:
            verdicts: dict[tuple[str, int], list[dict[str, Any]]] = {}
            for judge in manifest.judges:
                for row in self._rows(judgments_path(judge.name, model, shard), ids):
                    verdicts.setdefault((row["sample_id"], row["k"]), []).append(row)
            for row in self._rows(responses_path(model, shard), ids):
                judged = tuple(verdicts.get((row["sample_id"], row["k"]), ()))
                found.append((str(row["sample_id"]), Answer(row, judged)))
        return found

    def _rows(
        self, name: str, ids: list[str], columns: list[str] | None = None
    ) -> list[dict[str, Any]]:
        """Rows of some samples in a file, from the row groups that may hold them."""
        storage = self.run.storage
        if not storage.exists(name):
            return []
        wanted, rows = pa.array(ids, pa.string()), []
        with storage.parquet(name) as parquet, telling_damage(storage.fault(name)):
            column = parquet.schema_arrow.names.index("sample_id")
            for number in range(parquet.metadata.num_row_groups):
                known = parquet.metadata.row_group(number).column(column).statistics
                if (
                    known is not None
                    and known.has_min_max
                    and not any(known.min <= i <= known.max for i in ids)
                ):
                    continue
                table = parquet.read_row_group(number, columns=columns)
                rows += table.filter(pc.is_in(table["sample_id"], value_set=wanted)).to_pylist()
        return rows


def _where(box: Box, chosen: Filter) -> tuple[str, tuple[str | None, ...]]:
    """A condition in SQL, and its values: what a person typed is only ever among these."""
    condition = (
        f"({inside_of([('', box)])}) and ($1 is null or risk = $1) "
        "and ($2 is null or category = $2) "
        "and contains(lower(question || ' ' || sample_id), $3)"
    )
    return condition, (chosen.risk, chosen.category, chosen.words.lower())
