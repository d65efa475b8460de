"""What the page's cells are about: the run that this process serves."""

from collections.abc import Callable
from dataclasses import dataclass, field

from qibox.box import INSTABILITY_RANGE, QUALITY_RANGE, Box
from qibox.errors import command
from qibox.figures.data import chosen_boxes
from qibox.opened import OpenRun
from qibox.page.samples import Samples
from qibox.run.directory import Run
from qibox.run.finished import selection_names


@dataclass
class Context:
    """One run, opened once for all visits."""

    name: str  # as the person gave it: what commands on the page say
    run: Run
    samples: Samples
    spelled: Callable[[str], str] = str  # puts options into the commands of a text
    kept: dict[str, str] = field(default_factory=dict)  # HTML of ours, made once a process

    def first_box(self) -> Box:
        """The box of the selection named default if it has just one, else half of the pool's U."""
        names = selection_names(self.run.storage)
        boxes = chosen_boxes(self.run.storage, "default") if "default" in names else []
        if len(boxes) == 1:
            return boxes[0][1]
        rows = self.samples.ask("select coalesce(quantile_disc(instability, 0.5), 0) from samples")
        return Box(*QUALITY_RANGE, min(float(rows[0][0]), INSTABILITY_RANGE[1]))

    def sql(self) -> OpenRun:
        """The run's views, as `qibox sql` has them."""
        return OpenRun(self.run.storage.url)

    def command(self, box: Box) -> str:
        """What a person types to select what is in the box."""
        band, least = (f"{box.q_low:.15g}", f"{box.q_high:.15g}"), f"{box.u_min:.15g}"
        select = command("select", self.name, q_band=band, u_min=least, name="explored")
        return self.spelled(select).strip("`")


_served: list[Context] = []


def put(context: Context) -> None:
    """Say which run this process serves."""
    _served[:] = [context]


def take_back() -> None:
    """This process serves no run any more."""
    _served.clear()


def current() -> Context:
    """The run that this process serves."""
    return _served[0]


def make_context(path: str, spelled: Callable[[str], str] = str) -> Context:
    """Open a run for its page; ``spelled`` says how its commands are typed.

    Raises:
        UsageError: there is no run.
    """
    run = Run.open(path)
    return Context(path, run, Samples(run), spelled)
