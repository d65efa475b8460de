"""responses → judgments: one judge's verdict on every response of a shard, all models together.

Reads RUN/pool/shard-N.parquet and RUN/responses/model=*/shard-N.parquet, writes
RUN/judgments/judge=<id>/model=<id>/shard-N.parquet. Equal texts on one sample are judged once,
whichever models gave them; every (model, k) keeps its own row. A response that failed keeps a row
with null score and the reason.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from qibox.judges.base import Judge
from qibox.manifests.judge import JudgeManifest
from qibox.run.layout import judgments_path, pool_path, responses_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.slices import Source, one_chunk, slices
from qibox.tables import IMAGE, JUDGMENTS, POOL, VERDICTS

Report = Callable[[pa.Array], None]  # is given the reasons of the rows just written
LOOKING_JUDGES = {"generative", "pairwise"}  # the others know or derive their verdicts

_RESPONSE = ("sample_id", "model", "k", "text", "reasoning", "answer", "reason")
_ASKED = ["sample_id", "text", "reasoning", "answer"]
_ID_TEXT = ["sample_id", "text"]
_KNOWN = pa.schema([("sample_id", pa.string()), ("text", pa.string()), *VERDICTS])

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Judging:
    """What judging a shard needs to know: the judge, the panel's models in order, and K."""

    judge: JudgeManifest
    models: tuple[str, ...]
    samples: int  # K, responses a model and sample

    @property
    def reads_images(self) -> bool:
        """Whether the judge looks at pictures."""
        return self.judge.kind in LOOKING_JUDGES


def judge_shard(
    storage: Storage, units: Sequence[Unit], judging: Judging, judge: Judge, report: Report
) -> None:
    """Write the pending units of one shard.

    Verdicts that are already there, from units done before, are taken over for equal texts; a
    judge that compares is given all the shard's responses again.
    """
    pending = [unit.model for unit in units]
    shard = units[0].shard
    done = [model for model in judging.models if model not in pending]
    sources = _sources(shard, pending, done, judging)
    n = len(pending)
    with slices(storage, sources) as parts, ExitStack() as stack:
        writers = [
            stack.enter_context(storage.table_writer(unit.path, JUDGMENTS, unit.key))
            for unit in units
        ]
        for pool, *tables in parts:
            own, others, old = tables[:n], tables[n : n + len(done)], tables[n + len(done) :]
            known = [_known(r, v) for r, v in zip(others, old, strict=True)] if old else []
            asked = pa.concat_tables(own if known else [*own, *others])
            verdicts = judge_once(judge, _with_all_columns(pool), asked, known)
            start = 0
            for writer, responses in zip(writers, own, strict=True):
                part = verdicts.slice(start, len(responses))
                rows = _judgments(responses, part, judging.judge.name)
                writer.write_table(rows)
                report(one_chunk(rows["reason"]))
                start += len(responses)


def judge_once(
    judge: Judge, samples: pa.Table, responses: pa.Table, known: Sequence[pa.Table] = ()
) -> pa.Table:
    """A verdict for each response, in order, asking the judge once for each (sample_id, text).

    ``known`` holds verdicts already given: columns sample_id, text and those of a verdict.
    """
    before = pa.concat_tables([_KNOWN.empty_table(), *known])
    given = pa.concat_tables([before.select(_ID_TEXT), responses.select(_ID_TEXT)])
    group = _groups(given, one_chunk(samples["sample_id"]))
    present = np.flatnonzero(group >= 0)
    first = np.zeros(group.max(initial=-1) + 1, dtype=np.int64)
    first[group[present][::-1]] = present[::-1]  # the earliest row of each group wins

    asked = responses.select(_ASKED).take(pa.array(first[first >= len(before)] - len(before)))
    verdicts = judge.judge(samples, asked)
    assert verdicts.schema.equals(VERDICTS), f"the judge's columns are {verdicts.schema}"
    assert len(verdicts) == len(asked), f"{len(verdicts)} verdicts on {len(asked)} responses"

    place = np.where(first < len(before), first, 0)
    place[first >= len(before)] = len(before) + np.arange(len(asked))
    own = group[len(before) :]
    rows = pa.array(place[own] if len(place) else own, mask=own < 0)
    found = pa.concat_tables([before.select(VERDICTS.names), verdicts]).take(rows)
    failed = pc.binary_join_element_wise("no response", responses["reason"], ": ")
    reason = pc.if_else(pa.array(own < 0), failed, found["reason"])
    return found.set_column(VERDICTS.get_field_index("reason"), VERDICTS.field("reason"), reason)


def _groups(rows: pa.Table, sample_ids: pa.Array) -> Integers:
    """A number for each distinct (sample_id, text), in order of appearance; -1 for a null text."""
    texts = one_chunk(rows["text"]).dictionary_encode()
    sample = pc.index_in(one_chunk(rows["sample_id"]), value_set=sample_ids)
    assert sample.null_count == 0, "a response to a sample that is not in the slice"
    cell = pc.add(pc.multiply(sample.cast(pa.int64()), len(texts.dictionary)), texts.indices)
    return np.asarray(cell.dictionary_encode().indices.cast(pa.int64()).fill_null(-1))


def _sources(
    shard: int, pending: Sequence[str], done: Sequence[str], judging: Judging
) -> list[Source]:
    """The pool, the pending models' responses, the done ones', then the done ones' judgments.

    A judge that compares is given the done models' responses, but its old verdicts are not read.
    """
    pool = [name for name in POOL.names if name != "image" or judging.reads_images]
    k = judging.samples
    sources = [Source(pool_path(shard), pool)]
    sources += [Source(responses_path(m, shard), _RESPONSE, k) for m in (*pending, *done)]
    if judging.judge.compares:
        return sources
    name = judging.judge.name
    columns = ["sample_id", *VERDICTS.names]
    return sources + [Source(judgments_path(name, m, shard), columns, k) for m in done]


def _with_all_columns(pool: pa.Table) -> pa.Table:
    """A slice of the pool; where pictures were not read, the image is null."""
    if "image" in pool.column_names:
        return pool
    at = POOL.get_field_index("image")
    return pool.add_column(at, POOL.field("image"), pa.nulls(len(pool), IMAGE))


def _known(responses: pa.Table, judgments: pa.Table) -> pa.Table:
    """What was said to each text before: judgments lie row by row beside their responses."""
    columns = [responses["sample_id"], responses["text"]]
    columns += [judgments[name] for name in VERDICTS.names]
    return pa.table(columns, schema=_KNOWN)


def _judgments(responses: pa.Table, verdicts: pa.Table, judge: str) -> pa.Table:
    columns = {
        "sample_id": responses["sample_id"],
        "judge": pa.repeat(judge, len(responses)),
        "model": responses["model"],
        "k": responses["k"],
        **{name: verdicts[name] for name in VERDICTS.names},
    }
    return pa.table([columns[name] for name in JUDGMENTS.names], schema=JUDGMENTS)
