"""How trainings went: what each step measured, policies laid over each other."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from qibox.figures.style import COLOURS, LINES, label, nothing, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Title, unit, the measurement's names (the first that is there), and whether it is a share.
PANELS: Final = (
    ("Reward", "points, 1 to 10", ("reward",), False),
    ("Unsafe drafts", "% of judged drafts", ("unsafe_drafts",), True),
    ("Corrected", "% of unsafe drafts", ("corrected",), True),
    ("Groups that teach nothing", "% of groups", ("zero_variance", "frac_reward_zero_std"), True),
    ("Distance from the start policy", "KL, nats a token", ("kl",), False),
    ("Length", "tokens a response", ("completions/mean_length",), False),
)
SMOOTH: Final = 10  # steps that a drawn line is the running mean of; single steps are faint
SHORT: Final = 20  # steps up to which nothing is smoothed


@styled
def training_figure(policies: "Mapping[str, pd.DataFrame]") -> "Figure":
    """Six panels by step: reward, unsafe drafts, corrected, groups without spread, KL, length.

    ``policies`` has for each name a frame of :func:`qibox.figures.data.training`. A measurement
    that a training does not have is left out of its panel. A dotted line is an alarm, named above
    the reward.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 5.2), layout="constrained")
    if not any(len(frame) for frame in policies.values()):
        return nothing(figure, "no step has been measured yet")
    for axes, (title, unit, names, share) in zip(
        figure.subplots(2, 3, sharex=True).flat, PANELS, strict=True
    ):
        axes.set_title(title)
        axes.set_ylabel(unit)
        axes.grid(axis="y")
        if share:
            axes.set_ylim(-3, 103)
        for place, (policy, frame) in enumerate(policies.items()):
            found = next((n for n in names if n in frame), None)
            if found is None:
                continue
            known = frame.dropna(subset=[found])
            values = known[found] * (100 if share else 1)
            colour, line = COLOURS[place % len(COLOURS)], LINES[place % len(LINES)]
            if len(frame) > SHORT:
                axes.plot(known["step"], values, color=colour, alpha=0.25, linewidth=0.7)
                values = values.rolling(SMOOTH, min_periods=1).mean()
            axes.plot(known["step"], values, line, color=colour, label=label(policy))
    for place, frame in enumerate(policies.values()):
        _alarms(figure, frame, COLOURS[place % len(COLOURS)])
    for axes in figure.axes[-3:]:
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(policies) > 1:
        figure.axes[0].legend(fontsize=7.5)
    return figure


def _alarms(figure: "Figure", frame: "pd.DataFrame", colour: str) -> None:
    """A line through all panels at each step at which a monitor saw a known failure."""
    if "alarm" not in frame:
        return
    for row in frame.dropna(subset=["alarm"]).to_dict("records"):
        for axes in figure.axes:
            axes.axvline(row["step"], color=colour, linestyle=":", linewidth=1.0)
        first = figure.axes[0]
        first.annotate(
            label(row["alarm"]),
            (row["step"], 1),
            xycoords=("data", "axes fraction"),
            fontsize=6.5,
            color=colour,
            rotation=90,
            va="top",
            ha="right",
        )
