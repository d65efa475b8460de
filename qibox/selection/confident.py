"""Only samples that lie surely in the box: P(in box) from resampled panels.

Reads the run's judgments through :mod:`qibox.confidence.intervals`, in the boxes of a connection
that a choice was begun in.
"""

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.catalog.connect import reading
from qibox.confidence.intervals import EdgesOf, intervals
from qibox.run.directory import Run
from qibox.selection.request import Request
from qibox.selection.samples import fill_samples, ids, views_of
from qibox.selection.scored import require_scores
from qibox.selection.taking import apply_box

_EDGES = "select sample_id, q_low, q_high, u_min from candidates join boxes using (stratum)"


def keep_confident(connection: duckdb.DuckDBPyConnection, run: Run, least: float, seed: int) -> int:
    """Drop from the table passed who lies in the box in fewer than ``least`` of the resamples.

    Returns how many were dropped.
    """
    found = intervals(run, _edges_of(connection), seed=seed).rows
    unsure = found.filter(pc.less(found["p_in_box"], least)).select(["sample_id"])
    connection.register("unsure", unsure)
    before = connection.execute("select count(*) from passed").fetchall()[0][0]
    connection.execute("delete from passed where sample_id in (select sample_id from unsure)")
    after = connection.execute("select count(*) from passed").fetchall()[0][0]
    connection.unregister("unsure")
    return int(before - after)


def edges_of(run: Run, request: Request) -> EdgesOf:
    """The edges that each sample must lie between, by a request with a box.

    Raises:
        UsageError: the run is not scored to its end, or its band is reversed in some stratum.
    """
    require_scores(run)
    with reading(run, views_of(run, request)) as connection:
        fill_samples(connection, run, request)
        connection.register("left_ids", ids([]))
        connection.execute("create temp table left_out as from left_ids")
        apply_box(connection, request)
        return _edges_of(connection)


def _edges_of(connection: duckdb.DuckDBPyConnection) -> EdgesOf:
    known = connection.sql(_EDGES).to_arrow_table()
    names = known["sample_id"].combine_chunks()
    edges = np.stack([known[name].to_numpy() for name in ("q_low", "q_high", "u_min")], axis=1)
    nowhere = np.vstack([edges, np.full((1, 3), np.nan)])  # who is no candidate lies in no box

    def of(sample_ids: pa.Array) -> npt.NDArray[np.float64]:
        place = pc.fill_null(pc.index_in(sample_ids, value_set=names), len(names))
        found: npt.NDArray[np.float64] = nowhere[place.to_numpy()]
        return found

    return of
