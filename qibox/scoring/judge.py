"""responses → judgments: one judge's verdict on every response of a shard, all models together.

Reads RUN/pool/shard-N.parquet and RUN/responses/model=*/shard-N.parquet, writes
RUN/judgments/judge=<id>/model=<id>/shard-N.parquet. Equal texts on one sample are judged once,
whichever models gave them; every (model, k) keeps its own row. A response that failed keeps a row
with null score and the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

import pyarrow as pa

from qibox.judges.base import Judge
from qibox.judges.once import KNOWN, judge_once
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import Accelerator
from qibox.run.directory import Run
from qibox.run.layout import judgments_path, responses_path
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit
from qibox.scoring.resolve import located_judge
from qibox.scoring.slices import Source, one_chunk, slices
from qibox.scoring.stage import Stage, TellRows
from qibox.tables import IMAGE, JUDGMENTS, POOL, VERDICTS

LOOKING_JUDGES = {"generative", "pairwise"}  # the others know or derive their verdicts
UNMODELLED_JUDGES = {"oracle", "replay", "hash"}  # hold no model: threads may share one

_RESPONSE = ("sample_id", "model", "k", "text", "reasoning", "answer", "reason")


@dataclass(frozen=True)
class JudgeResponses(Stage[Judge]):
    """One judge rates."""

    folder = "judgments"
    asks = True

    judge: JudgeManifest
    panel: tuple[str, ...]  # models whose responses are looked at together; empty: each by itself
    samples: int  # K, responses a model and sample

    @classmethod
    def of(cls, run: Run) -> Iterator[Self]:
        """One for each judge, the one whose scores count first."""
        panel = tuple(run.manifest.panel.models) if run.manifest.scored else ()
        for judge in run.manifest.judges:
            yield cls(judge, panel, run.manifest.panel.sampling.samples)

    @property
    def name(self) -> str:
        """Whose judgments they are."""
        return f"judgments-{self.judge.name}"

    @property
    def per_sample(self) -> int:
        """K."""
        return self.samples

    @property
    def concurrent(self) -> bool:
        """Only judges that hold no model are used by several threads at once."""
        return self.judge.kind in UNMODELLED_JUDGES

    @property
    def accelerator(self) -> Accelerator | None:
        """What the judge's model needs of the machine that runs it."""
        return self.judge.model.accelerator if self.judge.model is not None else None

    @property
    def reads_images(self) -> bool:
        """Whether the judge looks at pictures."""
        return self.judge.kind in LOOKING_JUDGES

    def units(self, run: Run, shards: Sequence[Shard]) -> list[Unit]:
        """One a model and shard."""
        return run.judgments_units(self.judge, shards)

    def located(self, places: Mapping[str, str]) -> Self:
        """The judge's model and recordings at their full paths."""
        return replace(self, judge=located_judge(self.judge))

    def load(self, *, allow_remote_code: bool = False) -> Judge:
        """Start the judge."""
        from qibox.judges.load import load_judge

        return load_judge(self.judge, allow_remote_code=allow_remote_code)

    def do(self, tool: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Write the shard's judgments.

        Verdicts of a panel that are already there, from units done before, are taken over for
        equal texts; a judge that compares is given all the shard's responses again.
        """
        if self.judge.compares and not self.panel:
            for unit in units:
                self._rate(tool, storage, [unit], tell)
        else:
            self._rate(tool, storage, units, tell)

    def _rate(self, judge: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        n, pending = len(units), {unit.model for unit in units}
        done = [model for model in self.panel if model not in pending]
        sources = self._sources(units, done)
        with slices(storage, sources, units[0].samples) as parts, ExitStack() as stack:
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
                    rows = _judgments(responses, part, self.judge.name)
                    writer.write_table(rows)
                    tell(one_chunk(rows["reason"]))
                    start += len(responses)

    def _sources(self, units: Sequence[Unit], done: Sequence[str]) -> list[Source]:
        """The pool, the units' responses, the done models', then the done ones' judgments.

        A judge that compares is given the done models' responses, but its old verdicts are not
        read.
        """
        shard, home, k = units[0].shard, units[0].home, self.samples
        pool = [name for name in POOL.names if name != "image" or self.reads_images]
        models = [*(unit.model for unit in units), *done]
        sources = [Source(units[0].pool, pool)]
        sources += [Source(responses_path(m, shard, home), _RESPONSE, k) for m in models]
        if self.judge.compares:
            return sources
        columns = ["sample_id", *VERDICTS.names]
        files = [judgments_path(self.judge.name, model, shard, home) for model in done]
        return sources + [Source(file, columns, k) for file in files]


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
    return pa.table(columns, schema=KNOWN)


def _judgments(responses: pa.Table, verdicts: pa.Table, judge: str) -> pa.Table:
    columns = {
        "sample_id": responses["sample_id"],
        "judge": pa.repeat(judge, len(responses)),
        "model": responses["model"],
        "k": responses["k"],
        **{name: verdicts[name] for name in VERDICTS.names},
    }
    return pa.table([columns[name] for name in JUDGMENTS.names], schema=JUDGMENTS)
