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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.judges.base import Judge
from qibox.judges.enduring import EnduringJudge
from qibox.judges.once import judge_once
from qibox.manifests.judge import JudgeManifest
from qibox.manifests.panel import Accelerator
from qibox.run.directory import Run
from qibox.run.layout import judgments_path, responses_path
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit
from qibox.scoring.judgments import (
    good_verdicts,
    judgment_rows,
    known_verdicts,
    on_samples,
    places_to_mend,
    rows_to_ask,
    with_all_columns,
)
from qibox.scoring.mending import Patch, Places
from qibox.scoring.resolve import located_judge
from qibox.scoring.slices import SLICE_SAMPLES, Source, one_chunk, slices
from qibox.scoring.stage import Stage, TellRows
from qibox.tables import JUDGMENTS, SAMPLES, VERDICTS

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
    def light(self) -> bool:
        """Those judges are that know or derive their verdicts."""
        return not self.judge.asks

    @property
    def accelerator(self) -> Accelerator | None:
        """What the judge's model needs of the machine that runs it."""
        model = self.judge.model
        return model.accelerator if model is not None and model.at is None else None

    @property
    def reads_images(self) -> bool:
        """Whether the judge looks at pictures."""
        return self.judge.asks

    def units(self, run: Run, shards: Sequence[Shard]) -> list[Unit]:
        """One a model and shard."""
        return run.judgments_units(self.judge, shards)

    def located(self, places: Mapping[str, str]) -> Self:
        """The judge's model and recordings at their full paths."""
        place = places.get(f"judge {self.judge.name}")
        return replace(self, judge=located_judge(self.judge, place))

    def load(self, *, allow_remote_code: bool = False) -> Judge:
        """Start the judge."""
        from qibox.judges.load import load_judge

        judge = load_judge(self.judge, allow_remote_code=allow_remote_code)
        return EnduringJudge(judge, self.judge.name, together=self.judge.compares)

    def do(self, tool: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Write the shard's judgments.

        Verdicts of a panel that are already there, from units done before, are taken over for
        equal texts; a judge that compares is given all the shard's responses again.
        """
        for together in self._together(units):
            self._rate(tool, storage, together, tell)

    def rows_to_mend(self, storage: Storage, unit: Unit, reason: str | None) -> int:
        """Judgments that waited for a response that is there now, and failed ones to ask again."""
        files = (*unit.inputs, unit.path)
        try:
            said, judged = (one_chunk(storage.read_table(f, ["reason"])["reason"]) for f in files)
        except FileNotFoundError:  # responses that will be made anew, and the judgments follow them
            return 0
        return int(rows_to_ask(judged, said, reason).sum())

    def mend(self, tool: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Ask for judgments that failed, and for those whose response was mended.

        A verdict on an equal text is taken over. A judge that compares is given all responses to
        the samples concerned, and its word on the rows to mend is kept.
        """
        for together in self._together(units):
            self._rate_again(tool, storage, together, tell)

    def _together(self, units: Sequence[Unit]) -> list[Sequence[Unit]]:
        """Units whose responses are looked at in one go."""
        alone = self.judge.compares and not self.panel
        return [[unit] for unit in units] if alone else [units]

    def _rate(self, judge: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        n, pending = len(units), {unit.model for unit in units}
        done = [model for model in self.panel if model not in pending]
        sources = self._sources(units, done)
        with slices(storage, sources, units[0].samples) as parts, ExitStack() as stack:
            writers = [  # what is entered last is left first: files stand in the units' order
                stack.enter_context(
                    storage.table_writer(
                        unit.path, JUDGMENTS, unit.key, made_of=parts.inputs_edition(unit)
                    )
                )
                for unit in reversed(units)
            ][::-1]
            for pool, *tables in parts:
                own, others, old = tables[:n], tables[n : n + len(done)], tables[n + len(done) :]
                beside = zip(others, old, strict=True) if old else ()
                known = [known_verdicts(r, v) for r, v in beside]
                asked = pa.concat_tables(own if known else [*own, *others])
                verdicts = judge_once(judge, with_all_columns(pool), asked, known)
                start = 0
                for writer, responses in zip(writers, own, strict=True):
                    part = verdicts.slice(start, len(responses))
                    rows = judgment_rows(responses, part, self.judge.name)
                    writer.write_table(rows)
                    tell(one_chunk(rows["reason"]))
                    start += len(responses)

    def _rate_again(
        self, judge: Judge, storage: Storage, units: Sequence[Unit], tell: TellRows
    ) -> None:
        home, shard, k = units[0].home, units[0].shard, self.samples
        models = self.panel or tuple(unit.model for unit in units)
        paths = {model: judgments_path(self.judge.name, model, shard, home) for model in models}
        sources = self._responses(units[0], models)
        sources += [Source(paths[m], JUDGMENTS.names, k, optional=True) for m in models]
        patches = {unit.model: Patch(JUDGMENTS) for unit in units}
        start = 0
        with slices(storage, sources, units[0].samples) as parts:
            judged = [model for model in models if paths[model] in parts.there]
            for pool, *tables in parts:
                said = dict(zip(models, tables, strict=False))
                old = dict(zip(judged, tables[len(models) :], strict=True))
                places = {
                    u.model: places_to_mend(old[u.model], said[u.model], u.retry) for u in units
                }
                for model, rows in self._anew(judge, pool, said, old, places).items():
                    here = pa.array(places[model])
                    patches[model].put(start + places[model], rows, old[model].take(here))
                    asked = pc.is_null(said[model]["reason"].take(here))
                    tell(one_chunk(rows["reason"].filter(asked)))
                start += k * len(pool)
        for unit in units:
            patches[unit.model].write(storage, unit, k * SLICE_SAMPLES)

    def _anew(
        self,
        judge: Judge,
        pool: pa.Table,
        said: Mapping[str, pa.Table],
        old: Mapping[str, pa.Table],
        places: Mapping[str, Places],
    ) -> dict[str, pa.Table]:
        """Judgments of a slice made anew: each model's at its places; no judge is asked in vain."""
        wanted = {model: said[model].take(pa.array(here)) for model, here in places.items()}
        asked = pa.concat_tables(wanted.values())
        if not len(asked):
            return {}
        samples = on_samples(with_all_columns(pool), asked["sample_id"])
        if self.judge.compares:
            answered = asked.filter(pc.is_valid(asked["text"]))["sample_id"]
            beside, known = [on_samples(rows, answered) for rows in said.values()], []
        else:
            good = good_verdicts([said[model] for model in old], list(old.values()))
            beside, known = [], [on_samples(good, samples["sample_id"])]
        verdicts = judge_once(judge, samples, pa.concat_tables([asked, *beside]), known)
        ends = np.cumsum([len(rows) for rows in wanted.values()])
        return {
            model: judgment_rows(rows, verdicts.slice(end - len(rows), len(rows)), self.judge.name)
            for (model, rows), end in zip(wanted.items(), ends.tolist(), strict=True)
        }

    def _sources(self, units: Sequence[Unit], done: Sequence[str]) -> list[Source]:
        """The pool, the units' responses, the done models', then the done ones' judgments.

        A judge that compares is given the done models' responses, but its old verdicts are not
        read.
        """
        shard, home, k = units[0].shard, units[0].home, self.samples
        sources = self._responses(units[0], [*(unit.model for unit in units), *done])
        if self.judge.compares:
            return sources
        columns = ["sample_id", *VERDICTS.names]
        files = [judgments_path(self.judge.name, model, shard, home) for model in done]
        return sources + [Source(file, columns, k) for file in files]

    def _responses(self, unit: Unit, models: Sequence[str]) -> list[Source]:
        """The pool and the models' responses, of a unit's shard."""
        pool = [name for name in SAMPLES.names if name != "image" or self.reads_images]
        paths = [responses_path(model, unit.shard, unit.home) for model in models]
        return [Source(unit.pool, pool), *(Source(path, _RESPONSE, self.samples) for path in paths)]
