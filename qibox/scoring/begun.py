"""The first shards of a new run, which processes beside work on while its pool is still read.

Where all responses are recorded ones, and many, a shard needs nothing but its samples. So each is
posted on a board as soon as its file stands; what nobody has taken when the pool has been read is
done with the rest. Units are keyed by their samples, so that a reading that is stopped midway loses
nothing of them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from qibox.engines.recording import recorded_bytes
from qibox.run.directory import Run
from qibox.run.units import Shard
from qibox.scoring.beside import helped, most_beside
from qibox.scoring.board import Board
from qibox.scoring.stage import Stage
from qibox.scoring.stages import STAGE_FOLDERS, stages_of

MUCH = 10 << 20  # bytes of recorded responses, from which on a run is begun so


@dataclass(frozen=True)
class Begun:
    """A run of which nothing stood, and whose shards are being done."""

    run: Run
    stages: tuple[Stage[Any], ...]
    board: Board
    settle: Callable[[], None]  # see :func:`qibox.scoring.beside.helped`

    def post(self, shard: Shard) -> None:
        """Have a shard done whose samples stand."""
        run = Run(self.run.storage, self.run.manifest)  # which keeps its units
        units = [tuple(stage.units(run, [shard])) for stage in self.stages]
        self.board.post(tuple(enumerate(units)))


@contextmanager
def begun(run: Run, places: Mapping[str, str]) -> Iterator[Begun | None]:
    """Inside the block shards of a run may be done before its pool has been read.

    None where something stands already, or too little is to be done.
    """
    stages = tuple(stage.located(places) for stage in stages_of(run))
    count = most_beside() if _is_worth_it(run, places) else 0
    if not count or not all(stage.light for stage in stages):
        yield None
        return
    board = Board(is_open=True)
    with helped(board, stages, run.storage.url, count) as settle:
        yield Begun(run, stages, board, settle)


def _is_worth_it(run: Run, places: Mapping[str, str]) -> bool:
    """Whether nothing was done, and much is recorded."""
    models = run.manifest.panel.models
    if any(spec.engine != "replay" for spec in models.values()) or not run.storage.is_local:
        return False
    if run.pool_index() is not None or any(map(run.storage.files, STAGE_FOLDERS)):
        return False
    return sum(map(recorded_bytes, {places[model] for model in models})) >= MUCH
