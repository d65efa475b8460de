"""A stage of a run's work: what it needs, and how its units are done.

One class a stage, one instance an engine or judge. Instances travel to workers, so they hold what
the work needs and no more; equal ones of several runs are done in one go.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import pyarrow as pa

from qibox.manifests.panel import Accelerator
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit

TellRows = Callable[[pa.Array], None]  # is given the reasons of the rows just written


class Tool(Protocol):
    """What a stage works with: an engine or a judge."""

    def close(self) -> None:
        """Free it."""
        ...


T = TypeVar("T", bound=Tool)


class Stage(ABC, Generic[T]):
    """The work of one engine or judge on runs; see :mod:`qibox.scoring.stages` for all of them."""

    folder: ClassVar[str]  # of its files; also the stage's name in every account
    asks: ClassVar[bool]  # whether each of its rows costs a call

    @classmethod
    @abstractmethod
    def of(cls, run: Run) -> Iterator[Self]:
        """The stage's instances that a run's manifest asks for, in order of work."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What a person calls this work; unique in a run."""

    @property
    @abstractmethod
    def per_sample(self) -> int:
        """Rows that a unit's file holds for each of its samples."""

    @property
    def light(self) -> bool:
        """Whether the tool holds no model: threads may share it, and others be held beside it."""
        return True

    @property
    def accelerator(self) -> Accelerator | None:
        """What the tool needs of the machine that runs it."""
        return None

    @abstractmethod
    def units(self, run: Run, shards: Sequence[Shard]) -> list[Unit]:
        """All its units on these shards of a run."""

    def located(self, places: Mapping[str, str]) -> Self:
        """The same with models and recordings at full paths, for workers that start elsewhere.

        ``places`` are those that a manifest does not tell, as
        :func:`qibox.scoring.resolve.places_of` names them.
        """
        return self

    @abstractmethod
    def load(self, *, allow_remote_code: bool = False) -> T:
        """Start the tool."""

    @abstractmethod
    def do(self, tool: T, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Write the files of these units, all of one shard and none of them there yet."""

    @abstractmethod
    def rows_to_mend(self, storage: Storage, unit: Unit, reason: str | None) -> int:
        """How many rows of a unit's file, which stands, are to be made anew.

        ``reason`` says which failed rows to ask again, see :class:`qibox.run.units.Mend`.
        """

    @abstractmethod
    def mend(self, tool: T, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Make those rows anew and keep all others; the units are of one shard, their files stand.

        A file in which nothing changes stays the same file.
        """
