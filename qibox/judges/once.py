"""Judge responses that may repeat: equal texts on a sample are judged once.

A judge that only looks its verdicts up is asked about every row: to find the equal texts takes
longer than to look them up again.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.judges.base import Judge, looks_up
from qibox.tables import VERDICTS

_ASKED = ["sample_id", "text", "reasoning", "answer"]
_ID_TEXT = ["sample_id", "text"]
NO_RESPONSE = "no response"  # how the reason begins of a row whose response has no text
KNOWN = pa.schema([("sample_id", pa.string()), ("text", pa.string()), *VERDICTS])

Integers = npt.NDArray[np.int64]


def judge_once(
    judge: Judge, samples: pa.Table, responses: pa.Table, known: Sequence[pa.Table] = ()
) -> pa.Table:
    """A verdict for each response, in order, asking the judge once for each (sample_id, text).

    Args:
        judge: any judge.
        samples: the pool's columns, every response's sample among them.
        responses: sample_id, text, reasoning, answer and, if there is one, the reason why a text
            is null; texts may repeat. A response without text has no verdict, and its reason says
            so.
        known: verdicts already given: columns sample_id, text and those of a verdict.
    """
    if looks_up(judge) and not known and not responses["text"].null_count:
        return _asked(judge, samples, responses.select(_ASKED))
    before = pa.concat_tables([KNOWN.empty_table(), *known])
    given = pa.concat_tables([before.select(_ID_TEXT), responses.select(_ID_TEXT)])
    group = _groups(given, _one_chunk(samples["sample_id"]))
    present = np.flatnonzero(group >= 0)
    first = np.zeros(group.max(initial=-1) + 1, dtype=np.int64)
    first[group[present][::-1]] = present[::-1]  # the earliest row of each group wins

    asked = responses.select(_ASKED).take(pa.array(first[first >= len(before)] - len(before)))
    verdicts = _asked(judge, samples, asked)

    place = np.where(first < len(before), first, 0)
    place[first >= len(before)] = len(before) + np.arange(len(asked))
    own = group[len(before) :]
    rows = pa.array(place[own] if len(place) else own, mask=own < 0)
    found = pa.concat_tables([before.select(VERDICTS.names), verdicts]).take(rows)
    failed: pa.Array | pa.Scalar = pa.scalar(NO_RESPONSE)
    if "reason" in responses.column_names:
        failed = without_response(responses["reason"])
    reason = pc.if_else(pa.array(own < 0), failed, found["reason"])
    return found.set_column(VERDICTS.get_field_index("reason"), VERDICTS.field("reason"), reason)


def _asked(judge: Judge, samples: pa.Table, responses: pa.Table) -> pa.Table:
    verdicts = judge.judge(samples, responses)
    assert verdicts.schema.equals(VERDICTS), f"the judge's columns are {verdicts.schema}"
    assert len(verdicts) == len(responses), (
        f"{len(verdicts)} verdicts on {len(responses)} responses"
    )
    return verdicts


def without_response(reasons: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Why responses have no verdict that have no text for these reasons."""
    return pc.binary_join_element_wise(NO_RESPONSE, reasons, ": ")


def waits(reasons: pa.Array) -> pa.Array:
    """Whether these reasons of null verdicts are that there was no response; null where null."""
    return pc.or_(pc.equal(reasons, NO_RESPONSE), pc.starts_with(reasons, f"{NO_RESPONSE}: "))


def _groups(rows: pa.Table, sample_ids: pa.Array) -> Integers:
    """A number for each distinct (sample_id, text), in order of appearance; -1 for a null text."""
    texts = _one_chunk(rows["text"]).dictionary_encode()
    sample = pc.index_in(_one_chunk(rows["sample_id"]), value_set=sample_ids)
    assert sample.null_count == 0, "a response to a sample that is not in the slice"
    cell = pc.add(pc.multiply(sample.cast(pa.int64()), len(texts.dictionary)), texts.indices)
    return np.asarray(cell.dictionary_encode().indices.cast(pa.int64()).fill_null(-1))


def _one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
