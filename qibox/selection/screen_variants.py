"""Variants that are like a benchmark's sample: changing a sample may bring it near one.

A picture's variants are made, and looked at, only of samples whose question is near one of a
benchmark's; a question's variants are compared with the picture of their sample. Whoever is found
is left out and listed under the variant's own id. A variant is like its own sample by intent, so
variants are not compared among themselves.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.likeness.benchmarks import BENCHMARK, Benchmarks, looks
from qibox.likeness.compared import Finding, with_benchmark
from qibox.likeness.near import near_in_question, plain
from qibox.likeness.signature import SIZE, as_column, signatures
from qibox.pool.chosen import chosen_rows
from qibox.run.directory import Run
from qibox.selection.variants import Augment, picture_variants, question_variants

# As a pool's samples are looked at: one signature, of the whole picture.
LOOKS = pa.schema([*BENCHMARK][:-1]).append(pa.field("signature", pa.binary(SIZE)))


def variants_like(
    run: Run, chosen: pa.Array, known: pa.Table, augment: Augment, held_out: Benchmarks
) -> list[Finding]:
    """The variants of chosen samples that are like a benchmark's sample, by id.

    ``known`` has what the pool looks like (:data:`qibox.likeness.kept.LIKENESS`).
    """
    if not held_out.here:
        return []
    of_pictures = _of_pictures(run, chosen, augment, held_out)
    rows = pa.concat_tables(
        [LOOKS.empty_table(), *_of_questions(chosen, known, augment), *of_pictures]
    )
    names, look = rows["sample_id"].to_pylist(), looks(rows, 1)
    found: dict[str, Finding] = {}
    for benchmark in held_out.here:
        like = with_benchmark(names, look, benchmark)
        found = {each.sample_id: each for each in like.findings} | found
    return [found[name] for name in sorted(found)]


def _of_questions(chosen: pa.Array, known: pa.Table, augment: Augment) -> Iterator[pa.Table]:
    """What question variants look like: another question beside the sample's own picture."""
    made = list(question_variants(chosen.to_pylist(), augment))
    if not made:
        return
    sources = chosen.take(pa.array([at for at, _, _, _ in made], pa.int64()))
    own = known.take(pc.index_in(sources, value_set=known["sample_id"].combine_chunks()))
    columns = [
        pa.array([variant for _, _, variant, _ in made], pa.string()),
        pa.array([plain(question) for _, _, _, question in made], pa.string()),
        own["picture"].is_null(),
        own["signature"],
    ]
    yield pa.table(columns, schema=LOOKS)


def _of_pictures(
    run: Run, chosen: pa.Array, augment: Augment, held_out: Benchmarks
) -> Iterator[pa.Table]:
    """What picture variants look like, of those samples whose question is near a benchmark's."""
    if not augment.pictures:
        return
    asked = [each for row in held_out.here for each in row.rows["question"].to_pylist()]
    for _, samples in chosen_rows(run, chosen, ["sample_id", "question", "image"]):
        questions = [plain(question) for question in samples["question"].to_pylist()]
        near = samples.filter(pa.array(near_in_question(questions, asked)))
        made = [
            (variant, plain(row["question"]), content)
            for row in near.to_pylist()
            for variant, content in _made(row, augment)
        ]
        if not made:
            continue
        ids, words, contents = zip(*made, strict=True)
        seen = as_column(*signatures(pa.array(contents, pa.binary())))
        blank = np.zeros(len(made), np.bool_)
        yield pa.table([pa.array(ids), pa.array(words), pa.array(blank), seen], schema=LOOKS)


def _made(row: dict[str, Any], augment: Augment) -> Iterator[tuple[str, bytes]]:
    if row["image"] is not None:
        yield from picture_variants(row["sample_id"], row["image"]["bytes"], augment)
