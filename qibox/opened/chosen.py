"""A choice in Python: the ids that a box lets through, written as a selection only if asked."""

from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from qibox.errors import UsageError
from qibox.manifests.box import BoxManifest, Edge
from qibox.manifests.load import load_manifest
from qibox.opened.table import Table
from qibox.run.directory import Run
from qibox.selection.choose import Choice, choose
from qibox.selection.request import OPEN_BOX, Request, Within, at_random, by_box
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

    def write(self, overwrite: bool = False) -> bool:
        """Write it into the run as `qibox select` does; False if the very same is there already.

        Open the run again to see it among its selections.

        Raises:
            UsageError: another selection of that name is there, and is not to be overwritten.
        """
        return write_selection(self._run, self.choice, overwrite)


def asked(
    q_band: tuple[float, float] | None,
    u_min: float | None,
    box: str | None,
    random: int | None,
    limit: int | None,
    within: Within | None,
    seed: int,
    name: str,
) -> Request:
    """The request for these edges over a named box, or over none; or for some at random.

    Raises:
        UsageError: neither box nor number is given or both are, or an edge is no finite number.
    """
    edges: dict[str, Any] = {}
    if q_band is not None:
        edges |= {"q_low": _edge(q_band[0]), "q_high": _edge(q_band[1])}
    if u_min is not None:
        edges["u_min"] = _edge(u_min)
    if random is not None:
        if edges or box is not None or limit is not None:
            raise UsageError(
                f"{random} samples at random are drawn without a box: give one of both"
            )
        return at_random(random, name, within, seed)
    if not edges and box is None:
        raise UsageError("no box is given: give q_band=(LO, HI) and u_min=X, or box=NAME")
    if limit is not None:
        edges["limit"] = limit
    base = OPEN_BOX if box is None else load_manifest(BoxManifest, box)
    return by_box(base.model_copy(update=edges), name, within, seed)


def _edge(value: float) -> Edge:
    try:
        return Edge(value=value)
    except ValueError as error:
        raise UsageError(f"an edge is a finite number, not {value}") from error
