"""Ask failed rows again, and nothing else: which files that stand are to be mended, and how.

A row that failed for a passing reason (a server's error, a time-out, an engine that died) is asked
again on demand. Its file is then written anew under the same key, every other row as it was, and
as another edition (:mod:`qibox.run.editions`). A file that was made of an earlier edition is
mended in turn, on demand or not: a judgment that waited for its response is asked for, scores are
counted again. A file in which nothing changes is not written.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.run.editions import joint_edition, next_edition
from qibox.run.reading import side_by_side
from qibox.run.storage import Storage
from qibox.run.units import Mend, Unit
from qibox.scoring.endings import counting_writer
from qibox.scoring.footers import Footer, read_footer
from qibox.scoring.slices import RowReader

CountRows = Callable[[Unit, str | None], int]  # rows to ask of a file, given a part of the reason

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]  # of rows in a file, from 0


def is_stale(unit: Unit, footers: Mapping[str, Footer]) -> bool:
    """Whether a file that stands was made of other editions than those that stand now."""
    found = (footers.get(name) for name in unit.inputs)
    now = joint_edition([footer.edition if footer else None for footer in found])
    return footers[unit.path].made_of != now


def find_mends(
    units: Sequence[Unit], footers: Mapping[str, Footer], retry: str | None, count: CountRows
) -> dict[str, Mend]:
    """What to mend of those units whose files stand, by path; ``retry`` as in :class:`Mend`.

    Reads of the files that have failed rows, or are stale, what ``count`` reads.
    """

    def looked_at(unit: Unit) -> bool:
        return is_stale(unit, footers) or (retry is not None and footers[unit.path].failed > 0)

    def find(unit: Unit) -> Mend | None:
        rows = count(unit, retry)
        stale = is_stale(unit, footers)
        return Mend(rows, footers[unit.path].failed, retry) if stale or rows else None

    wanted = [unit for unit in units if unit.path in footers and looked_at(unit)]
    found = side_by_side(find, wanted)
    return {unit.path: mend for unit, mend in zip(wanted, found, strict=True) if mend}


def inputs_edition(storage: Storage, unit: Unit) -> str | None:
    """The joint edition of the files that a unit is made of, as they stand."""
    return joint_edition([_edition(storage, name) for name in unit.inputs])


def _edition(storage: Storage, name: str) -> str | None:
    if storage.held(name, ()) is not None:  # as it was first written
        return None
    footer = read_footer(storage, name)
    return footer.edition if footer else None


def holds(reasons: pa.Array, text: str | None) -> Mask:
    """Which rows failed for a reason that holds a text, in any case; none for a null text."""
    if text is None:
        return np.zeros(len(reasons), np.bool_)
    return mask(pc.match_substring(reasons, text, ignore_case=True))


def mask(values: pa.Array) -> Mask:
    """A column of truth values as an array; null is false."""
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), np.bool_)


class Patch:
    """Rows of a file that are to be otherwise."""

    def __init__(self, schema: pa.Schema) -> None:
        self._places: list[Places] = [np.empty(0, np.int64)]
        self._rows = [schema.empty_table()]
        self._changed = False

    def put(self, places: Places, rows: pa.Table, old: pa.Table) -> None:
        """Rows for these places, ascending and after all earlier ones; ``old`` are there now."""
        self._places.append(places)
        self._rows.append(rows)
        self._changed = self._changed or not rows.equals(old)

    def write(self, storage: Storage, unit: Unit, rows_at_once: int) -> None:
        """Write a unit's file with these rows in their places, unless it would be the same."""
        footer, made_of = read_footer(storage, unit.path), inputs_edition(storage, unit)
        assert footer is not None, unit.path
        if not self._changed and footer.made_of == made_of:
            return
        places, rows = np.concatenate(self._places), pa.concat_tables(self._rows)
        edition = next_edition(footer.edition, rows) if self._changed else footer.edition
        with (
            storage.parquet(unit.path) as old,
            counting_writer(
                storage, unit.path, rows.schema, unit.key, edition=edition, made_of=made_of
            ) as writer,
        ):
            fault = storage.fault(unit.path)
            reader = RowReader(old, rows.schema.names, rows_at_once, fault)
            start = 0
            while len(part := reader.take(rows_at_once)):
                first, last = np.searchsorted(places, (start, start + len(part)))
                writer.write_table(
                    _put(part, places[first:last] - start, rows.slice(first, last - first))
                )
                start += len(part)


def _put(table: pa.Table, places: Places, rows: pa.Table) -> pa.Table:
    """The table with other rows at these places."""
    order = np.arange(len(table))
    order[places] = len(table) + np.arange(len(rows))
    both = pa.concat_tables([table.replace_schema_metadata(rows.schema.metadata), rows])
    return both.take(pa.array(order))
