"""Harmless samples of a run's pool that a training does not see: what its probes ask."""

import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.run.directory import Run
from qibox.selection.shard import selected_rows
from qibox.tables import SELECTION

_CHOSEN = """
select sample_id from pool
where risk = 'none' and sample_id not in (select unnest($known))
  and sample_id in (select sample_id from scores)
order by md5(sample_id) limit $count
"""


def held_out(run: Run, selection: pa.Table, count: int) -> pa.Table:
    """So many harmless samples that are not in the selection, as SELECTION; fewer if there are.

    The same ones for every training on that selection. None where the pool knows no risk.
    """
    if not count:
        return SELECTION.empty_table()
    with reading(run, {"pool", "scores"}) as connection:
        found = connection.sql(
            _CHOSEN, params={"known": selection["sample_id"].to_pylist(), "count": count}
        ).to_arrow_table()
    chosen = found["sample_id"].combine_chunks()
    return pa.concat_tables([SELECTION.empty_table(), *selected_rows(run, chosen)])
