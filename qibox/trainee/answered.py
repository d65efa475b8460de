"""What a policy's answers to a run's pool came to, sample by sample: counted once, and kept.

Reads the judgments of RUN/profiles/<policy>/ and the pool; writes
profiles/<policy>/answered/judge=<id>.parquet beside the judgments. Its key is made of the pool and
of the state of each file that was counted (:func:`qibox.scoring.footers.state_of`), so it is
counted anew where ratings are newer, and where it is gone or damaged. It only saves time: the
figures are the same without it.
"""

from contextlib import suppress

import pyarrow as pa

from qibox.catalog.connect import reading
from qibox.catalog.files import profile_files
from qibox.errors import DamagedFileError
from qibox.run.directory import Run
from qibox.run.layout import answered_path
from qibox.run.units import digest
from qibox.scoring.footers import state_of

FORMAT = 1  # raised when answers come to be counted otherwise

ANSWERED = pa.schema(
    [
        ("sample_id", pa.string()),
        ("risk", pa.string()),  # unknown where the pool does not tell
        ("told", pa.int64()),  # answers that were called safe or unsafe, at least one
        ("unsafe", pa.int64()),  # of these
        ("mean", pa.float64()),  # of the scores, [1, 10]
    ]
)

_ANSWERED = """
with answered as (
    select sample_id, count(safe) as told, count(*) filter (not safe) as unsafe,
           round(avg(score), 6) as mean
    from profile_judgments where model = ? and judge = ? group by sample_id having count(safe) > 0
)
select sample_id, coalesce(risk, 'unknown') as risk, told, unsafe, mean
from answered join pool using (sample_id) order by sample_id
"""


def answered(run: Run, policy: str, judge: str, *, keep: bool = True) -> pa.Table:
    """A row of :data:`ANSWERED` for each sample that a policy was profiled on, by sample_id.

    ``keep`` writes what had to be counted.
    """
    name, key = answered_path(policy, judge), _made_of(run, policy, judge)
    if key is not None and run.storage.table_key(name) == key:
        with suppress(DamagedFileError, FileNotFoundError):
            return run.storage.read_table(name)
    with reading(run, ("profile_judgments", "pool")) as connection:
        rows = connection.sql(_ANSWERED, params=[policy, judge]).to_arrow_table().cast(ANSWERED)
    if keep and key is not None:
        run.storage.write_table(name, rows, key)
    return rows


def _made_of(run: Run, policy: str, judge: str) -> str | None:
    """What there is to be counted; None where there is nothing, or a file does not tell."""
    files, index = profile_files(run.storage, policy, judge), run.pool_index()
    states = [[name, state_of(run.storage, name)] for name in files]
    if not files or index is None or any(state is None for _, state in states):
        return None
    return digest({"format": FORMAT, "pool": list(index.keys), "files": states})
