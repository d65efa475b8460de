"""Every kind of figure that a run has: asked by name, drawn from its tables.

figure(Run.open("runs/mini"), "box")
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qibox.catalog.connect import connect
from qibox.errors import UsageError, command
from qibox.figures import data
from qibox.figures.audit import audit_figure
from qibox.figures.box import box_figure
from qibox.figures.models import models_figure
from qibox.figures.rates import rates_figure
from qibox.figures.scores import scores_figure
from qibox.figures.training import training_figure
from qibox.run.directory import Run
from qibox.run.finished import policy_names, selection_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Shown:
    """Which of a run's selections, policies and judges a figure is of; None: what there is."""

    selection: str | None = None  # None: the one named default, if it is there
    policies: Sequence[str] = ()  # none: all
    judge: str | None = None  # None: the run's first


def figure(run: Run, kind: str, shown: Shown = Shown()) -> "Figure":
    """Draw one kind of figure of a run.

    Raises:
        UsageError: no such kind, selection, policy or judge; or the run is not that far.
    """
    if kind not in KINDS:
        raise UsageError(f"no figure named '{kind}': there are {', '.join(KINDS)}")
    return KINDS[kind](run, shown)


def _box(run: Run, shown: Shown) -> "Figure":
    name = _selection(run, shown)
    boxes = data.chosen_boxes(run.storage, name) if name else []
    with connect(run, ("pool", "scores", "selections")) as connection:
        density = data.density(connection)
        _require(run, len(density))
        title = f"Selection {name}" if name else ""
        return box_figure(density, boxes, data.mix(connection, name), title)


def _scores(run: Run, shown: Shown) -> "Figure":
    name = _selection(run, shown)
    inside = "false"
    if name:
        quoted = name.replace("'", "''")
        inside = f"sample_id in (select sample_id from selections where selection = '{quoted}')"
    with connect(run, ("scores", "selections")) as connection:
        counts = data.score_counts(connection, inside)
    _require(run, len(counts))
    return scores_figure(counts)


def _models(run: Run, shown: Shown) -> "Figure":
    judges = [judge.name for judge in run.manifest.judges]
    judge = shown.judge or judges[0]
    if judge not in judges:
        raise UsageError(f"no judge '{judge}' in run {run.storage.url}: it has {', '.join(judges)}")
    with connect(run, ("pool", "responses", "judgments")) as connection:
        return models_figure(data.models(connection, judge), data.conduct(connection, judge))


def _training(run: Run, shown: Shown) -> "Figure":
    names = list(shown.policies) or policy_names(run.storage)
    if not names:
        data.training(run.storage, "default")  # which says that there is none
    return training_figure({name: data.training(run.storage, name) for name in names})


def _evaluation(run: Run, shown: Shown) -> "Figure":
    with connect(run, ("rates",)) as connection:
        rates = data.rates(connection, shown.policies)
    if shown.judge is not None:
        rates = rates[rates["judge"] == shown.judge]
    if not len(rates):
        raise UsageError(
            f"run {run.storage.url} has no such evaluation: "
            f"`qibox eval {run.storage.url}` makes one"
        )
    return rates_figure(rates)


def _audit(run: Run, shown: Shown) -> "Figure":
    with connect(run, ("audits",)) as connection:
        rows = connection.view("audits").df()
    if shown.judge is not None:
        rows = rows[(rows["judge"] == shown.judge) | (rows["other"] == shown.judge)]
    if not len(rows):
        makes = command("audit", run.storage.url)
        raise UsageError(f"run {run.storage.url} has no such audit: {makes} makes one")
    pair = rows[["judge", "other"]].iloc[0]
    return audit_figure(rows[(rows[["judge", "other"]] == pair).all(axis=1)])


def _selection(run: Run, shown: Shown) -> str | None:
    if shown.selection is not None:
        return shown.selection
    return "default" if "default" in selection_names(run.storage) else None


def _require(run: Run, found: int) -> None:
    if not found:
        raise UsageError(f"run {run.storage.url} is not scored yet: `qibox score` into it does so")


KINDS: Final[dict[str, Callable[[Run, Shown], "Figure"]]] = {
    "box": _box,
    "scores": _scores,
    "models": _models,
    "training": _training,
    "evaluation": _evaluation,
    "audit": _audit,
}
