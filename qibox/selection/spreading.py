"""Coverage: of those that could be chosen, a spread over vectors, within strata and quotas.

Each next sample is the one whose vector is farthest from all that were chosen before, of any
stratum, among the strata that have room (:mod:`qibox.coverage.greedy`); ties, and the first of all,
go to the most unstable, then by sample_id. A stratum's room is its quota or, taken within strata,
its share of the limit.
"""

import time
from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.catalog.connect import reading
from qibox.coverage.given import read_embeddings
from qibox.coverage.greedy import farthest_first
from qibox.coverage.offline import offline
from qibox.coverage.vectors import Vectors
from qibox.errors import UsageError
from qibox.likeness.kept import Told, pool_likeness
from qibox.run.directory import Run
from qibox.selection.ranking import rank_of
from qibox.selection.request import Request

Cells = Sequence[tuple[tuple[str, ...], int]]  # values of a stratum's columns, and its room

OFFLINE = {"from": "letters of questions and colours of pictures", "format": 1}

_SHARES = """
select stratum, count(*) from (
    select stratum, (row_number() over (partition by stratum order by sample_id) - 0.5)
                    / count(*) over (partition by stratum) as place
    from passed order by place, stratum limit ?
) group by stratum order by stratum
"""


def vectors_for(
    run: Run, request: Request, *, keep: bool = True, told: Told | None = None
) -> Vectors | None:
    """The vectors that a request spreads samples over; None where it ranks otherwise.

    Raises:
        UsageError: the file of embeddings cannot be read, or tells of no sample of the run.
    """
    if rank_of(request) != "coverage":
        return None
    with reading(run, ("pool",)) as connection:
        pool = connection.sql("select sample_id, question from pool").to_arrow_table()
    if request.embeddings is not None:
        found = read_embeddings(request.embeddings)
        if not pc.any(pc.is_in(pool["sample_id"], value_set=found.sample_ids)).as_py():
            raise UsageError(
                f"{request.embeddings} tells of none of the samples of {run.storage.url}, such as "
                f"'{pool['sample_id'][0]}': give vectors under the sample_id of the run's pool",
                fields=["embeddings"],
            )
        return found
    known = pool_likeness(run, keep=keep, told=told)
    started = time.monotonic()
    place = pc.index_in(known["sample_id"], value_set=pool["sample_id"].combine_chunks())
    questions = pool["question"].take(place).combine_chunks()
    rows = offline(questions, known["signature"].combine_chunks())
    ids = known["sample_id"].combine_chunks()
    return Vectors(ids, rows, OFFLINE, time.monotonic() - started)


def strata_shares(connection: duckdb.DuckDBPyConnection, size: int) -> Cells:
    """How many of a limit each stratum of the table passed gives: in proportion to its samples."""
    rows = connection.execute(_SHARES, [size]).fetchall()
    return [((stratum,), room) for stratum, room in rows]


def take_spread(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[str], cells: Cells, vectors: Vectors
) -> None:
    """Fill the table chosen with a spread of the table passed; ``cells`` are by these columns."""
    names = ", ".join(f'"{column}"' for column in columns)
    typed = ", ".join(f'"{column}" varchar' for column in columns)
    connection.execute(f"create or replace temp table cells ({typed}, cell bigint)")
    marks = ", ".join("?" for _ in columns)
    numbered = [(*values, number) for number, (values, _) in enumerate(cells)]
    connection.executemany(f"insert into cells values ({marks}, ?)", numbered)
    could = connection.sql(
        f"select sample_id, cell from passed join cells using ({names}) "
        "order by instability desc, sample_id"
    ).to_arrow_table()
    ids = could["sample_id"].combine_chunks()
    place = pc.index_in(ids, value_set=vectors.sample_ids).to_numpy()
    room = np.array([room for _, room in cells], np.int64)
    order = farthest_first(vectors.rows[place], could["cell"].to_numpy(), room)
    connection.register("spread", pa.table({"sample_id": ids.take(pa.array(order))}))
    connection.execute(
        "create or replace temp table chosen as "
        "select sample_id, stratum, quality, instability from passed "
        "where sample_id in (select sample_id from spread)"
    )
    connection.unregister("spread")
