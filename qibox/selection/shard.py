"""A selection's training shard: Parquet that both the datasets library and TRL read.

Reads the run's pool and score shards, one at a time; writes data/train-*.parquet with the columns
of :data:`qibox.tables.SELECTION`. The schema's ``huggingface`` metadata declares ``images`` as a
list of images, without which datasets would hand out dicts of bytes. ``prompt`` is conversational:
the panel's system text, if it has one, then the user's turn, the picture first and then the panel's
template around the question.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qibox.pool.chosen import chosen_rows
from qibox.run.directory import Run
from qibox.run.layout import scores_path
from qibox.selection.prompting import present, prompts
from qibox.selection.variants import Augment, with_variants
from qibox.tables import AUGMENTED, POOL, SELECTION

ROWS_PER_FILE = 1000  # one file's pictures are in memory at once
ROWS_PER_GROUP = 100  # what a reader that wants one row must decode


def write_shard(
    run: Run,
    chosen: pa.Array,
    folder: str,
    progress: Callable[[int], None] | None = None,
    augment: Augment | None = None,
) -> int:
    """Write the chosen samples, in the pool's order, as data/train-*.parquet under ``folder``.

    With ``augment`` each is followed by its variants, in as many files all the same. Returns how
    many variants there are.
    """
    variants = 0
    count = -(-len(chosen) // ROWS_PER_FILE)
    for number, table in enumerate(_in_files(selected_rows(run, chosen))):
        name = f"{folder}/data/train-{number:05d}-of-{count:05d}.parquet"
        rows = table if augment is None else with_variants(table, augment, run.manifest.panel)
        with run.storage.table_writer(name, SELECTION if augment is None else AUGMENTED) as writer:
            writer.write_table(rows, row_group_size=ROWS_PER_GROUP)
        variants += len(rows) - len(table)
        if progress is not None:
            progress(len(table))
    return variants


def selected_rows(run: Run, chosen: pa.Array) -> Iterator[pa.Table]:
    """Yield the chosen rows of each pool shard that has some."""
    panel = run.manifest.panel
    for shard, samples in chosen_rows(run, chosen):
        scores = run.storage.read_table(scores_path(shard))
        place = pc.index_in(samples["sample_id"], value_set=scores["sample_id"].combine_chunks())
        yield as_selection(samples, scores.take(place), panel.prompt, panel.system)


def as_selection(
    samples: pa.Table, scores: pa.Table, template: str, system: str | None = None
) -> pa.Table:
    """Put samples and their scores, row by row the same, into the selection's columns."""
    images = samples["image"].combine_chunks()
    made = {
        "prompt": prompts(samples["question"].combine_chunks(), images, template, system),
        "images": image_lists(images),
    }
    columns = [
        made[name] if name in made else (samples if name in POOL.names else scores)[name]
        for name in SELECTION.names
    ]
    return pa.table(columns, names=SELECTION.names).cast(SELECTION)


def image_lists(images: pa.Array) -> pa.Array:
    """Return each picture as a list of one; an empty list where a sample has none."""
    ends = np.cumsum(present(images))
    offsets = pa.array(np.concatenate([[0], ends]), pa.int32())
    return pa.ListArray.from_arrays(offsets, images.drop_null())


def _in_files(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Cut a stream of tables into tables of :data:`ROWS_PER_FILE` rows, the last one shorter."""
    waiting: list[pa.Table] = []
    rows = 0
    for table in tables:
        waiting.append(table)
        rows += len(table)
        while rows >= ROWS_PER_FILE:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, ROWS_PER_FILE)
            waiting = [joined.slice(ROWS_PER_FILE)]
            rows -= ROWS_PER_FILE
    if rows:
        yield pa.concat_tables(waiting)
