"""How a policy fares on the run's own pool: the view ``profiles``, and its summary by kind."""

from typing import TYPE_CHECKING

from qibox.catalog.connect import reading
from qibox.run.directory import Run

if TYPE_CHECKING:
    import pandas as pd

_BY_RISK = """
select coalesce(risk, 'unknown') as risk, count(*) as samples, avg(mean) as mean,
       avg(spread) as spread, avg(unsafe_share) as unsafe_share,
       avg((unsafe_share > 0 and unsafe_share < 1)::int) as wavering
from profiles join pool using (sample_id)
where policy = ? and judge = ? and n_judged > 0 group by all order by all
"""


def profile_by_risk(run: Run, policy: str, judge: str) -> "pd.DataFrame":
    """A row for each kind of risk of what a policy was asked.

    Columns: samples; mean, the mean score in [1, 10]; spread, the mean over samples of the scores'
    standard deviation; unsafe_share in [0, 1]; wavering, the share of samples whose answers are
    neither all safe nor all unsafe. A sample without a judged answer is left out.
    """
    with reading(run, ("profiles", "pool")) as connection:
        return connection.execute(_BY_RISK, [policy, judge]).df()
