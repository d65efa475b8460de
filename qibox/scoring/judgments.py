"""Rows of one slice's judgments: what is known, what is to be asked again, what comes out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.judges.once import KNOWN, waits, without_response
from qibox.scoring.mending import Mask, Places, holds, mask
from qibox.scoring.slices import one_chunk
from qibox.tables import IMAGE, JUDGMENTS, SAMPLES, VERDICTS


def judgment_rows(responses: pa.Table, verdicts: pa.Table, judge: str) -> pa.Table:
    """Verdicts on responses, in order, as rows of the judgments table."""
    columns = {
        "sample_id": responses["sample_id"],
        "judge": pa.repeat(judge, len(responses)),
        "model": responses["model"],
        "k": responses["k"],
        **{name: verdicts[name] for name in VERDICTS.names},
    }
    return pa.table([columns[name] for name in JUDGMENTS.names], schema=JUDGMENTS)


def known_verdicts(responses: pa.Table, judgments: pa.Table) -> pa.Table:
    """What was said to each text before: judgments lie row by row beside their responses."""
    columns = [responses["sample_id"], responses["text"]]
    columns += [judgments[name] for name in VERDICTS.names]
    return pa.table(columns, schema=KNOWN)


def with_all_columns(pool: pa.Table) -> pa.Table:
    """A slice of the pool; where pictures were not read, the image is null."""
    if "image" in pool.column_names:
        return pool
    at = SAMPLES.get_field_index("image")
    return pool.add_column(at, SAMPLES.field("image"), pa.nulls(len(pool), IMAGE))


def rows_to_ask(judged: pa.Array, said: pa.Array, reason: str | None) -> Mask:
    """Which judgments to ask for again, given why each and its response are null.

    Those that waited for a response that is there now, and the failed ones whose reason holds
    ``reason``.
    """
    there = mask(pc.and_(pc.is_null(said), pc.is_valid(judged)))
    return there & (mask(waits(judged)) | holds(judged, reason))


def places_to_mend(judgments: pa.Table, responses: pa.Table, reason: str | None) -> Places:
    """The rows to ask for, and those whose response failed otherwise than they tell."""
    judged, said = one_chunk(judgments["reason"]), one_chunk(responses["reason"])
    otherwise = pc.fill_null(pc.not_equal(judged, without_response(said)), True)
    failed = mask(pc.and_(pc.is_valid(said), otherwise))
    return np.flatnonzero(rows_to_ask(judged, said, reason) | failed)


def on_samples(rows: pa.Table, sample_ids: pa.Table | pa.Array) -> pa.Table:
    """The rows on these samples."""
    return rows.filter(pc.is_in(rows["sample_id"], value_set=sample_ids))


def good_verdicts(responses: Sequence[pa.Table], judgments: Sequence[pa.Table]) -> pa.Table:
    """What is known of verdicts that did not fail."""
    known = [known_verdicts(r, j) for r, j in zip(responses, judgments, strict=True)]
    both = pa.concat_tables([KNOWN.empty_table(), *known])
    return both.filter(pc.is_null(both["reason"]))
