"""pool → responses: one model's K answers to each sample of a shard.

Reads RUN/pool/shard-N.parquet, writes RUN/responses/model=<id>/shard-N.parquet. Knows nothing of
Beam: :func:`generate_unit` is a function of a shard and an engine.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from qibox.engines.base import Engine
from qibox.manifests.panel import PanelManifest
from qibox.prompts import fill_template
from qibox.responses import split_reasoning
from qibox.run.layout import pool_path
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.slices import Source, one_chunk, repeat, slices
from qibox.tables import COMPLETIONS, IMAGE, PROMPTS, RESPONSES

Report = Callable[[pa.Array], None]  # is given the reasons of the rows just written
Generate = Callable[[pa.Table], pa.Table]  # prompts → completions
BLIND_ENGINES = {"replay"}  # these look up what was said and need no picture read


@dataclass(frozen=True)
class Asking:
    """How one model of a panel is asked."""

    model: str
    panel: PanelManifest

    @property
    def reads_images(self) -> bool:
        """Whether the model's engine looks at pictures at all."""
        return self.panel.models[self.model].engine not in BLIND_ENGINES


def generate_unit(
    storage: Storage, unit: Unit, asking: Asking, engine: Engine, report: Report
) -> None:
    """Write one unit of responses, a slice of samples at a time."""
    columns = ["sample_id", "question", *(["image"] if asking.reads_images else [])]
    with (
        slices(storage, [Source(pool_path(unit.shard), columns)]) as parts,
        storage.table_writer(unit.path, RESPONSES, unit.key) as writer,
    ):
        for (samples,) in parts:
            prompts = make_prompts(samples, asking)
            completions = engine.generate(prompts, asking.panel.sampling)
            check_completions(completions, prompts, asking)
            responses = make_responses(completions, asking.model)
            writer.write_table(responses)
            report(one_chunk(responses["reason"]))


def make_prompts(samples: pa.Table, asking: Asking) -> pa.Table:
    """The prompts of samples, in order: the panel's template around each question."""
    n = len(samples)
    text = fill_template(asking.panel.prompt, one_chunk(samples["question"]))
    image = samples["image"] if "image" in samples.column_names else pa.nulls(n, IMAGE)
    system = asking.panel.models[asking.model].system
    return pa.table(
        [samples["sample_id"], pa.array([system] * n, pa.string()), text, image], schema=PROMPTS
    )


def check_completions(completions: pa.Table, prompts: pa.Table, asking: Asking) -> None:
    """Assert that an engine kept its protocol: K rows for each prompt, in the prompts' order."""
    k = asking.panel.sampling.samples
    assert completions.schema.equals(COMPLETIONS), f"{asking.model}: {completions.schema}"
    assert len(completions) == k * len(prompts), f"{asking.model}: {len(completions)} completions"
    keys = repeat(one_chunk(prompts["key"]), k)
    assert keys.equals(one_chunk(completions["key"])), f"{asking.model}: out of order"


def make_responses(completions: pa.Table, model: str) -> pa.Table:
    """Completions as rows of the responses table, each text split into reasoning and answer."""
    text = one_chunk(completions["text"])
    reasoning, answer = split_reasoning(text)
    columns = {
        "sample_id": completions["key"],
        "model": pa.repeat(model, len(completions)),
        "k": completions["k"],
        "text": text,
        "reasoning": reasoning,
        "answer": answer,
        "finish_reason": completions["finish_reason"],
        "tokens": completions["tokens"],
        "reason": completions["reason"],
    }
    return pa.table([columns[name] for name in RESPONSES.names], schema=RESPONSES)
