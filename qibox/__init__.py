"""qibox: choose and train on the safety samples where vision-language models waver.

pool → responses → judgments → scores → selection → policy. Importing the package pulls in neither
Beam nor torch nor TRL.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from qibox.version import __version__

if TYPE_CHECKING:
    from qibox.opened import OpenRun

__all__ = ["__version__", "open"]


def open(path: "str | Path" = "runs/mini") -> "OpenRun":
    """Open a run's tables, read-only, for SQL and Python.

    Example:
        >>> run = qibox.open("runs/mini")
        >>> run.sql("select risk, avg(quality) as q from scores join pool using (sample_id) "
        ...         "group by risk").df()
        >>> run.sample("mini-train-00000").answers[0].response["text"]
        >>> run.scores["instability"].mean()          # one column as pandas
        >>> run.judgments.where("not safe").arrow()   # some rows as Arrow
        >>> run.select(q_band=(4, 8), u_min=1.5).df() # who would be chosen; nothing is written
        >>> run.plot.box().save("box.svg")

    Raises:
        UsageError: there is no run at that path.
    """
    from qibox.opened import OpenRun

    return OpenRun(path)
