"""A choice in Python: the ids that a box lets through, written as a selection only if asked."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

import duckdb
import pyarrow as pa

from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge, Rank
from qibox.manifests.load import load_manifest
from qibox.opened.table import Table
from qibox.run.directory import Run
from qibox.selection.choose import Choice, choose
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from qibox.selection.screen import screened
from qibox.selection.write import write_selection

if TYPE_CHECKING:
    import pandas as pd


class Chosen(Table):
    """The chosen samples with their scores, by sample_id; ``choice`` has edges and counts."""

    def __init__(self, run: Run, request: Request, connection: duckdb.DuckDBPyConnection) -> None:
        self._run = run
        self.choice: Choice = choose(run, request)
        ids = pa.table({"sample_id": self.choice.chosen})
        scores = connection.view("scores").set_alias("scores")
        relation = connection.from_arrow(ids).set_alias("ids").join(scores, "sample_id")
        super().__init__(f"chosen as {request.name}", relation.order("sample_id"))

    @property
    def mix(self) -> "pd.DataFrame":
        """Samples by stratum, in the pool and chosen: columns dimension, value, before, after."""
        import pandas as pd

        names = ["dimension", "value", "before", "after"]
        rows = [[getattr(row, name) for name in names] for row in self.choice.mix]
        return pd.DataFrame(rows, columns=names)

    def write(self, overwrite: bool = False, *, allow_overlap: bool = False) -> bool:
        """Write it into the run as `qibox select` does; False if the very same is there already.

        Who is like a benchmark's sample or another chosen one makes room for the next, and
        ``choice`` is what was written.

        Open the run again to see it among its selections.

        Raises:
            UsageError: another selection of that name is there, and is not to be overwritten.
        """
        request = self.choice.request
        self.choice = screened(self._run, request, allow_overlap=allow_overlap)
        return write_selection(self._run, self.choice, overwrite)


def asked(
    box: BoxManifest, named: bool, random: int | None, steering: Steering, **how: Any
) -> Request:
    """The request for a box, or for some at random; ``how`` as :func:`by_box` has it.

    ``named`` tells whether the box is one that was asked for, and not an open one.

    Raises:
        UsageError: neither box nor number is given or both are, or they do not go together.
    """
    if random is not None:
        if named or box.limit is not None or how.pop("size") is not None:
            raise UsageError(
                f"{random} samples at random are drawn without a box: give one of both"
            )
        return at_random(random, steering=steering, **how)
    if not named and steering.where is None and steering.weights is None:
        raise UsageError("no box is given: give q_band=(LO, HI) and u_min=X, or box=NAME")
    return by_box(box, steering=steering, **how)


def edges_over(
    q_band: tuple[float, float] | None,
    u_min: float | None,
    box: str | None,
    limit: int | None,
    rank: str | None,
) -> tuple[BoxManifest, bool]:
    """The named box, or an open one, with what is given put over it; and whether one was asked for.

    Raises:
        UsageError: an edge is no finite number, there is no such box or rank.
    """
    over: dict[str, Any] = {}
    if q_band is not None:
        over |= {"q_low": _edge(q_band[0]), "q_high": _edge(q_band[1])}
    if u_min is not None:
        over["u_min"] = _edge(u_min)
    if rank is not None and rank not in get_args(Rank):
        raise UsageError(f"no rank '{rank}': ranks are {', '.join(get_args(Rank))}")
    named = bool(over) or box is not None or rank not in (None, "instability", "random")
    over |= {key: value for key, value in (("limit", limit), ("rank", rank)) if value is not None}
    base = OPEN_BOX if box is None else load_manifest(BoxManifest, box)
    return base.model_copy(update=over), named


def steering_of(given: Mapping[str, Any]) -> Steering:
    """What steers a choice besides, by name.

    Raises:
        TypeError: there is no such thing.
    """
    unknown = given.keys() - Steering.model_fields.keys()
    if unknown:
        raise TypeError(f"select() takes no '{min(unknown)}'")
    return Steering(**given)


def _edge(value: float) -> Edge:
    try:
        return Edge(value=value)
    except ValueError as error:
        raise UsageError(f"an edge is a finite number, not {value}") from error
