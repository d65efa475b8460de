"""pool → responses: one model's K answers to each sample of a shard.

Reads RUN/pool/shard-N.parquet, writes RUN/responses/model=<id>/shard-N.parquet.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.engines.base import Engine
from qibox.manifests.asking import Marks
from qibox.manifests.panel import Accelerator, ModelSpec
from qibox.manifests.sampling import Sampling
from qibox.prompts import fill_template, make_prompts
from qibox.responses import USUAL, split_reasoning
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.run.units import Shard, Unit
from qibox.scoring.endings import counting_writer
from qibox.scoring.mending import Patch, holds
from qibox.scoring.resolve import located_model
from qibox.scoring.slices import SLICE_SAMPLES, Source, one_chunk, repeat, slices
from qibox.scoring.stage import Stage, TellRows
from qibox.tables import COMPLETIONS, IMAGE, RESPONSES

CUT_OFF = "thoughts cut off at sampling.max_tokens"
NO_ANSWER = "it thought and gave no answer"

BLIND_ENGINES = {"replay"}  # these look up what was said and need no picture read


@dataclass(frozen=True)
class AskModel(Stage[Engine]):
    """One model answers: how it is run, and how it is asked."""

    folder = "responses"
    asks = True

    model: str
    spec: ModelSpec
    prompt: str
    sampling: Sampling

    @classmethod
    def of(cls, run: Run) -> Iterator[Self]:
        """One for each model, in the panel's order."""
        panel = run.manifest.panel
        for model, spec in panel.models.items():
            asked = panel.asked(spec)
            yield cls(model, asked, asked.prompt or panel.prompt, panel.sampling)

    @property
    def name(self) -> str:
        """Whose responses they are."""
        return f"responses-{self.model}"

    @property
    def per_sample(self) -> int:
        """K."""
        return self.sampling.samples

    @property
    def light(self) -> bool:
        """Only replay is; an endpoint's bound is on one call, so that no two threads may call."""
        return not self.reads_images

    @property
    def accelerator(self) -> Accelerator | None:
        """What the model needs of the machine that runs it."""
        return self.spec.accelerator if self.spec.at is None else None

    @property
    def reads_images(self) -> bool:
        """Whether the model's engine looks at pictures at all."""
        return self.spec.engine not in BLIND_ENGINES

    def units(self, run: Run, shards: Sequence[Shard]) -> list[Unit]:
        """One a shard."""
        return run.responses_units(self.model, shards)

    def located(self, places: Mapping[str, str]) -> Self:
        """The model's weights at their full path."""
        place = places.get(self.model, self.spec.source)
        return replace(self, spec=located_model(self.spec, place))

    def load(self, *, allow_remote_code: bool = False) -> Engine:
        """Start the model's engine."""
        from qibox.engines.load import load_engine

        return load_engine(self.model, self.spec, allow_remote_code=allow_remote_code)

    def do(self, tool: Engine, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Write the shard's responses, a slice of samples at a time."""
        for unit in units:
            self._answer(tool, storage, unit, tell)

    def rows_to_mend(self, storage: Storage, unit: Unit, reason: str | None) -> int:
        """The failed responses whose reason holds ``reason``."""
        reasons = one_chunk(storage.read_table(unit.path, ["reason"])["reason"])
        return int(holds(reasons, reason).sum())

    def mend(self, tool: Engine, storage: Storage, units: Sequence[Unit], tell: TellRows) -> None:
        """Ask again for failed responses.

        An engine draws the K responses of a prompt together, so a sample with one that failed
        costs K; those that were there stay, and noise keyed by (seed, model, sample_id, k) gives
        the failed one what it would have been.
        """
        for unit in units:
            self._answer_again(tool, storage, unit, tell)

    def _answer_again(self, engine: Engine, storage: Storage, unit: Unit, tell: TellRows) -> None:
        k = self.per_sample
        patch, start = Patch(RESPONSES), 0
        sources = [
            Source(unit.pool, self._columns),
            Source(unit.path, RESPONSES.names, k),
        ]
        with slices(storage, sources, unit.samples) as parts:
            for samples, old in parts:
                again = np.flatnonzero(holds(one_chunk(old["reason"]), unit.retry))
                if len(again):
                    of, place = np.unique(again // k, return_inverse=True)  # samples, and which
                    prompts = self.prompts_of(samples.take(pa.array(of)))
                    drawn = self._ask(engine, prompts).take(pa.array(place * k + again % k))
                    patch.put(start + again, drawn, old.take(pa.array(again)))
                    tell(one_chunk(drawn["reason"]))
                start += len(old)
        patch.write(storage, unit, k * SLICE_SAMPLES)

    def _answer(self, engine: Engine, storage: Storage, unit: Unit, tell: TellRows) -> None:
        with (
            slices(storage, [Source(unit.pool, self._columns)], unit.samples) as parts,
            counting_writer(storage, unit.path, RESPONSES, unit.key) as writer,
        ):
            for (samples,) in parts:
                responses = self._ask(engine, self.prompts_of(samples))
                writer.write_table(responses)
                tell(one_chunk(responses["reason"]))

    @property
    def _columns(self) -> list[str]:
        """Those of the pool that a prompt is made of."""
        return ["sample_id", "question", *(["image"] if self.reads_images else [])]

    def _ask(self, engine: Engine, prompts: pa.Table) -> pa.Table:
        """K responses to each prompt, in order."""
        completions = engine.generate(prompts, self.sampling)
        check_completions(completions, prompts, self)
        return make_responses(completions, self.model, self.spec.reasoning)

    def prompts_of(self, samples: pa.Table) -> pa.Table:
        """The prompts of samples, in order: the template around each question."""
        n = len(samples)
        image = samples["image"] if "image" in samples.column_names else pa.nulls(n, IMAGE)
        text = fill_template(self.prompt, one_chunk(samples["question"]))
        return make_prompts(samples["sample_id"], self.spec.system or None, text, image)


def check_completions(completions: pa.Table, prompts: pa.Table, asking: AskModel) -> None:
    """Assert that an engine kept its protocol: K rows for each prompt, in the prompts' order."""
    k = asking.per_sample
    assert completions.schema.equals(COMPLETIONS), f"{asking.model}: {completions.schema}"
    assert len(completions) == k * len(prompts), f"{asking.model}: {len(completions)} completions"
    keys = repeat(one_chunk(prompts["key"]), k)
    assert keys.equals(one_chunk(completions["key"])), f"{asking.model}: out of order"


def make_responses(completions: pa.Table, model: str, marks: Marks | None = None) -> pa.Table:
    """Completions as rows of the responses table, each text split into reasoning and answer.

    Where a manifest tells the ``marks`` of a model's reasoning, thoughts without an answer behind
    them are no response: the text is null, the reason says so, and the reasoning stays.
    """
    text = one_chunk(completions["text"])
    reason, finish = one_chunk(completions["reason"]), one_chunk(completions["finish_reason"])
    reasoning, answer = split_reasoning(text, marks or USUAL)
    if marks is not None:
        nothing = pc.and_(pc.equal(answer, ""), pc.is_valid(reasoning))
        thoughts = pc.and_(pc.is_valid(text), pc.fill_null(nothing, True))
        why = pc.if_else(pc.equal(finish, "length"), CUT_OFF, NO_ANSWER)
        reason = pc.if_else(thoughts, why, reason)
        text, answer = (pc.if_else(thoughts, None, part) for part in (text, answer))
    columns = {
        "sample_id": completions["key"],
        "model": pa.repeat(model, len(completions)),
        "k": completions["k"],
        "text": text,
        "reasoning": reasoning,
        "answer": answer,
        "finish_reason": finish,
        "tokens": completions["tokens"],
        "reason": reason,
    }
    return pa.table([columns[name] for name in RESPONSES.names], schema=RESPONSES)
