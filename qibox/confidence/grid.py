"""A run's scores as grids, shard by shard: every answer's score in its place.

Reads RUN/judgments of the run's first judge and RUN/scores; writes nothing.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.run.directory import Run
from qibox.run.layout import judgments_path, scores_path

Floats = npt.NDArray[np.float64]

READERS = 4


@dataclass(frozen=True)
class Grid:
    """The samples of one shard that have scores."""

    sample_ids: pa.Array  # (n,)
    scores: Floats  # (n, M, K), NaN where missing
    counts: npt.NDArray[np.bool_]  # (n, M): the model has enough answers
    quality: Floats  # (n,), as written
    instability: Floats  # (n,), as written


def grids(run: Run) -> Iterator[Grid]:
    """Yield the grid of each shard of a scored run."""
    index = run.pool_index()
    assert index is not None, "a scored run has an index"
    with ThreadPoolExecutor(READERS) as pool:
        yield from pool.map(lambda shard: _grid(run, shard), range(len(index.keys)))


def _grid(run: Run, shard: int) -> Grid:
    panel, judge = run.manifest.panel, run.manifest.judges[0].name
    columns = ["sample_id", "quality", "instability"]
    scored = run.storage.read_table(scores_path(shard), columns=columns)
    scored = scored.filter(pc.is_valid(scored["quality"]))
    ids = scored["sample_id"].combine_chunks()
    shape = (len(ids), len(panel.models), panel.sampling.samples)
    scores = np.full(shape, np.nan)
    for number, model in enumerate(panel.models):
        name = judgments_path(judge, model, shard)
        found = run.storage.read_table(name, columns=["sample_id", "k", "score"])
        row = pc.fill_null(pc.index_in(found["sample_id"], value_set=ids), -1).to_numpy()
        k = found["k"].to_numpy()
        known = (row >= 0) & (k < shape[2])
        score = found["score"].to_numpy().astype(np.float64)
        scores[row[known], number, k[known]] = score[known]
    counts = (~np.isnan(scores)).sum(axis=2) >= panel.min_responses
    quality, instability = (scored[name].to_numpy() for name in ("quality", "instability"))
    return Grid(ids, scores, counts, quality, instability)
