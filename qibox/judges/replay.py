"""Recorded verdicts, brought from elsewhere as Parquet and joined by (sample_id, text).

``path`` is a Parquet file or a directory of them, local or any URL that fsspec knows, with:

| column | type | meaning |
|---|---|---|
| sample_id, text | string | the response that was judged, each once; required |
| harmlessness, helpfulness | integer, 1 to 10 | with the flags, a verdict: scored by the weights |
| hallucination, contradiction, safe | boolean | part of the verdict |
| grounding_gap | integer, 0 to 3 | part of the verdict |
| logical_coherence, image_grounding, safety_awareness | integer, 1 to 10 | all null: no reasoning |
| score | number, 1 to 10 | taken as it is where a row has no verdict |
| rationale, reason | string | carried over; reason says why a row has no score |

Each file needs a whole verdict's columns, or score; the reasoning ones, safe (beside score),
rationale and reason may be left out. Other columns are ignored, so judgments joined with their
responses' text can be replayed. A row out of range, one recorded twice and a response without a row
become reasons. Files sorted by sample_id are read fastest.
"""

from collections.abc import Sequence

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from fsspec.implementations.local import LocalFileSystem

from qibox.catalog.checked import CHECKED_PARQUET
from qibox.errors import UsageError
from qibox.judges.table import score_columns
from qibox.run.seal import check_sealed
from qibox.tables import CRITERIA, VERDICTS
from qibox.verdict import ANSWER_CRITERIA, FLAGS, REASONING_CRITERIA, VerdictWeights

_RANGES = {**dict.fromkeys(CRITERIA, (1, 10)), "grounding_gap": (0, 3), "score": (1, 10)}
_WHOLE = (*ANSWER_CRITERIA, *FLAGS)  # null in none of a verdict's rows
_READ = pa.schema(
    [
        ("sample_id", pa.string()),
        ("text", pa.string()),
        ("score", pa.float64()),
        *[(name, pa.int64()) for name in (*CRITERIA, "grounding_gap")],
        *[(name, pa.bool_()) for name in ("hallucination", "contradiction", "safe")],
        ("rationale", pa.string()),
        ("reason", pa.string()),
    ]
)


class ReplayJudge:
    """Looks verdicts up; see the module for the format.

    Raises:
        UsageError: nothing readable at the path, a column that is missing or of a wrong type.
    """

    looks_up = True

    def __init__(
        self,
        path: str,
        weights: VerdictWeights,
        missing: str = "no verdict is recorded for this response",
    ) -> None:
        """``missing`` is the reason of a response that has no row."""
        self._weights = weights
        self._missing = missing
        self._recorded = _open(path)
        _check_columns(self._recorded.schema, path)
        self._columns = [n for n in _READ.names if n in self._recorded.schema.names]

    def judge(self, samples: pa.Table, responses: pa.Table) -> pa.Table:
        """Return the recorded verdict, or why there is none, for each response, in order."""
        recorded = self._read(responses["sample_id"])
        keys = _keys(recorded)
        place = pc.index_in(_keys(responses), value_set=keys)
        rows = recorded.append_column("twice", _twice(keys)).take(place)  # aligned, null if absent
        problem = _problem(rows, self._missing)
        sound = pc.is_null(problem)
        judged = pc.and_(sound, _all_valid(rows, _WHOLE))
        bare = pc.and_(sound, pc.and_not(pc.is_valid(rows["score"]), judged))
        has_score = pc.or_(judged, bare)
        why = pc.coalesce(problem, rows["reason"], pa.scalar("it is recorded without a score"))
        scored = score_columns(rows.filter(judged), self._weights)
        own = pc.if_else(bare, rows["score"], None)
        columns = {
            **{name: pc.if_else(judged, rows[name], None) for name in (*CRITERIA, *FLAGS)},
            **{name: _scatter(scored[name], judged) for name in scored.column_names},
            "safe": pc.if_else(has_score, rows["safe"], None),
            "score": pc.coalesce(_scatter(scored["score"], judged), own),
            "rationale": rows["rationale"],
            "raw": pa.nulls(len(rows), pa.string()),
            "reason": pc.if_else(has_score, None, why),
        }
        return pa.table([columns[n] for n in VERDICTS.names], names=VERDICTS.names).cast(VERDICTS)

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, sample_ids: pa.ChunkedArray) -> pa.Table:
        """The rows recorded for these samples, every column of the format present."""
        wanted = pc.unique(sample_ids)
        if len(wanted) == 0:
            return _READ.empty_table()
        span = pc.min_max(wanted).as_py()
        column = pc.field("sample_id")  # the range lets whole row groups be skipped
        chosen = (column >= span["min"]) & (column <= span["max"]) & column.isin(wanted)
        found = self._recorded.to_table(columns=self._columns, filter=chosen)
        for name in set(_READ.names) - set(self._columns):
            found = found.append_column(name, pa.nulls(len(found), _READ.field(name).type))
        return found.select(_READ.names).cast(_READ)


def _open(path: str) -> pyarrow.dataset.Dataset:
    try:
        filesystem, place = fsspec.core.url_to_fs(path)
        found = pyarrow.dataset.dataset(place, filesystem=filesystem, format=CHECKED_PARQUET)
        for file in found.files if isinstance(filesystem, LocalFileSystem) else ():
            check_sealed(file)
        return found
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(
            f"no recorded verdicts can be read at {path}: give `path` a Parquet file or a "
            f"directory of them ({error})"
        ) from error


def _check_columns(schema: pa.Schema, path: str) -> None:
    missing = [name for name in ("sample_id", "text") if name not in schema.names]
    if missing:
        raise UsageError(f"the verdicts recorded at {path} lack the columns {', '.join(missing)}")
    if "score" not in schema.names and not set(_WHOLE) <= set(schema.names):
        raise UsageError(
            f"the verdicts recorded at {path} have neither a score nor all of {', '.join(_WHOLE)}"
        )
    for name in _READ.names:
        if name in schema.names and not _fits(schema.field(name).type, _READ.field(name).type):
            raise UsageError(
                f"column {name} of the verdicts recorded at {path} must be "
                f"{_READ.field(name).type}, not {schema.field(name).type}"
            )


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_null(found):
        return True
    if pa.types.is_string(wanted):
        return bool(
            pa.types.is_string(found)
            or pa.types.is_large_string(found)
            or pa.types.is_string_view(found)
        )
    if pa.types.is_boolean(wanted):
        return bool(pa.types.is_boolean(found))
    if pa.types.is_integer(wanted):
        return bool(pa.types.is_integer(found))
    return bool(pa.types.is_floating(found) or pa.types.is_integer(found))


def _keys(table: pa.Table) -> pa.Array:
    """One string for (sample_id, text); the length keeps a separator inside an id harmless."""
    ids = table["sample_id"]
    length = pc.binary_length(ids).cast(pa.string())
    joined = pc.binary_join_element_wise(length, ids, table["text"], " ")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def _twice(keys: pa.Array) -> pa.Array:
    """Whether each row's key stands in more than one row."""
    codes = keys.dictionary_encode().indices.fill_null(0).to_numpy()
    return pa.array(np.bincount(codes)[codes] > 1) if len(codes) else pa.array([], pa.bool_())


def _problem(rows: pa.Table, absent: str) -> pa.ChunkedArray:
    """What is wrong with each row, null where nothing is."""
    missing = pa.scalar(absent)
    twice = pa.scalar("its verdict is recorded more than once")
    partly = pa.scalar("its reasoning criteria are recorded in part")
    rated = [pc.is_valid(rows[name]) for name in REASONING_CRITERIA]
    same = pc.and_(pc.equal(rated[0], rated[1]), pc.equal(rated[1], rated[2]))
    return pc.coalesce(
        pc.if_else(pc.is_null(rows["sample_id"]), missing, None),
        pc.if_else(rows["twice"], twice, None),
        pc.if_else(same, None, partly),
        *[_outside(rows[name], name, *limits) for name, limits in _RANGES.items()],
    )


def _outside(values: pa.ChunkedArray, name: str, low: int, high: int) -> pa.ChunkedArray:
    inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
    message = pc.binary_join_element_wise(
        f"its {name} is recorded as ", values.cast(pa.string()), f", not {low} to {high}", ""
    )
    return pc.if_else(inside, None, message)  # null where the value is


def _all_valid(table: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    valid = pc.is_valid(table[names[0]])
    for name in names[1:]:
        valid = pc.and_(valid, pc.is_valid(table[name]))
    return valid


def _scatter(values: pa.ChunkedArray, where: pa.ChunkedArray) -> pa.Array:
    """Spread the values over the rows where ``where`` is true, in order; null elsewhere."""
    mask = where.combine_chunks()
    return pc.replace_with_mask(pa.nulls(len(mask), values.type), mask, values.combine_chunks())
