"""A run's figures in Python: ``run.plot.box()`` in a notebook, ``.save("box.svg")`` elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

from qibox.figures.kinds import KINDS, Shown, figure
from qibox.figures.style import form_of, image
from qibox.run.directory import Run

if TYPE_CHECKING:
    import matplotlib.figure


class Plot:
    """One figure; a notebook shows it, in the same bytes as `qibox plot` writes."""

    def __init__(self, kind: str, figure: "matplotlib.figure.Figure") -> None:
        self.kind = kind
        self.figure = figure  # matplotlib's, to change

    def save(self, file: str | Path) -> None:
        """Write it as PNG or SVG, by the file's suffix.

        Raises:
            UsageError: it ends in neither.
        """
        Path(file).write_bytes(image(self.figure, form_of(str(file))))

    def __repr__(self) -> str:
        return f"<figure {self.kind}; .save('{self.kind}.svg') writes it>"

    def _repr_png_(self) -> bytes:
        return image(self.figure, "png")


class Plots:
    """The figures that a run has, by their kinds; each raises UsageError if it is not that far."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def box(self, selection: str | None = None) -> Plot:
        """The box of a selection on quality and instability, and the mix before and after."""
        return self("box", Shown(selection=selection))

    def scores(self, selection: str | None = None) -> Plot:
        """Histograms of Q, U, D and V, and of a selection's."""
        return self("scores", Shown(selection=selection))

    def models(self, judge: str | None = None) -> Plot:
        """Which model is unsafe where, and how each answered."""
        return self("models", Shown(judge=judge))

    def training(self, *policies: str) -> Plot:
        """Curves by step, of all policies or of some."""
        return self("training", Shown(policies=policies))

    def evaluation(self, *policies: str, judge: str | None = None) -> Plot:
        """Rates with their intervals, before and after."""
        return self("evaluation", Shown(policies=policies, judge=judge))

    def audit(self, judge: str | None = None) -> Plot:
        """Two judges compared: the first audit, or the first with a judge."""
        return self("audit", Shown(judge=judge))

    def __call__(self, kind: str, shown: Shown | None = None) -> Plot:
        """A figure of any kind.

        Raises:
            UsageError: no such kind, selection, policy or judge; or the run is not that far.
        """
        return Plot(kind, figure(self._run, kind, shown or Shown()))

    def __repr__(self) -> str:
        return f"<figures of {self._run.storage.url}: {', '.join(KINDS)}>"
