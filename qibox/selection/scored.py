"""Whether a run's scores are all there, and of the judgments that stand."""

from qibox.errors import UsageError, command
from qibox.run.directory import Run
from qibox.scoring.footers import read_footers
from qibox.scoring.kept_footers import recall_footers
from qibox.scoring.mending import is_stale


def require_scores(run: Run) -> None:
    """Refuse a run that is not scored to its end.

    Raises:
        UsageError: scores are missing, or of before failed answers were asked again.
    """
    index = run.pool_index()
    units = run.scores_units(index.shards()) if index else []
    judgments = run.judgments_units(run.manifest.judges[0], index.shards()) if index else []
    both = [*judgments, *units]
    recall_footers(run.storage, run.home)
    footers = read_footers(
        run.storage, {name for unit in both for name in (unit.path, *unit.inputs)}
    )
    done = sum(unit.path in footers and footers[unit.path].key == unit.key for unit in units)
    if not units or done < len(units):
        state = f"scored on {done} of its {len(units)} shards" if units else "not scored yet"
        raise UsageError(f"run {run.storage.url} is {state}: `qibox score` into it does the rest")
    if stale := {u.shard for u in both if u.path in footers and is_stale(u, footers)}:
        raise UsageError(
            f"scores of {len(stale)} shards of {run.storage.url} are of before failed answers were "
            f"asked again: {command('score', out=run.storage.url)} with the options of this run "
            "counts them anew"
        )
