"""Make what the benchmarks play: a pool file and recorded responses of seven models, of any size.

Writes FOLDER/pool/part-NNNNN.parquet and FOLDER/responses/model=<id>/shard-NNNNN.parquet, each of
1,000 samples, plus a panel and a pool manifest. Texts are made of random words, about 150
characters, nine of ten showing their reasoning; every tenth response repeats the first one's words.

Run: python benchmarks/inputs.py /tmp/qibox-bench --samples 159000 --responses 5
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from qibox.manifests.panel import PanelManifest
from qibox.manifests.pool import PoolManifest
from qibox.run.storage import PARQUET_OPTIONS
from qibox.tables import IMAGE

MODELS = ("ada", "bay", "cid", "dot", "eva", "fox", "gus")
POOL = "recorded"  # its name comes before every id
SHARD = 1000  # samples a file
TEXT = (
    "the picture shows a child near an open window so it is not safe to leave it there and the "
    "candle on the table should be moved away from the curtain before anyone lights it again"
)
WORDS = np.array(TEXT.split())


def make(folder: Path, samples: int, responses: int) -> None:
    """Make the pool, the recordings and the manifests, unless they are there."""
    done = folder / f"made-{samples}-{responses}"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    pictures = small_pictures()
    for shard in range(-(-samples // SHARD)):
        ids = [f"s{n:07d}" for n in range(shard * SHARD, min(samples, (shard + 1) * SHARD))]
        rng = np.random.default_rng(shard)
        write(folder / f"pool/part-{shard:05d}.parquet", pool_table(ids, rng, pictures))
        for model in MODELS:
            path = folder / f"responses/model={model}/shard-{shard:05d}.parquet"
            write(path, response_table(ids, responses, rng))
    write_manifests(folder, responses)
    done.touch()


def write_manifests(folder: Path, responses: int) -> None:
    """The manifests that name what was made."""
    source = str(folder / "responses")
    panel = {
        "name": POOL,
        "about": "Seven recorded models.",
        "models": {model: {"source": source, "engine": "replay"} for model in MODELS},
        "sampling": {"samples": responses},
        "min_models": 5,
    }
    pool = {
        "name": POOL,
        "about": "Samples with small pictures.",
        "format": "parquet",
        "path": str(folder / "pool"),
        "columns": {"sample_id": "id"},
        "shard_size": SHARD,
    }
    PanelManifest.model_validate(panel)
    PoolManifest.model_validate(pool)
    (folder / "panel.yaml").write_text(yaml.safe_dump(panel))
    (folder / "pool.yaml").write_text(yaml.safe_dump(pool))


def small_pictures() -> list[bytes]:
    """A few drawn scenes as PNG."""
    from qibox.mini.pool import iter_samples

    return [sample["image"]["bytes"] for sample in iter_samples("train", 64, 0)]


def pool_table(ids: list[str], rng: np.random.Generator, pictures: list[bytes]) -> pa.Table:
    """Samples: an id, a question of twelve words and one of the pictures."""
    which = rng.integers(len(pictures), size=len(ids))
    images = [{"bytes": pictures[i], "path": None} for i in which]
    questions = pc.binary_join_element_wise(pa.array(ids), sentences(rng, len(ids), 12), ": ")
    columns = {"id": pa.array(ids), "question": questions, "image": pa.array(images, IMAGE)}
    return pa.table(columns)


def response_table(ids: list[str], k: int, rng: np.random.Generator) -> pa.Table:
    """One model's k responses to each sample, in the import format of the replay engine."""
    n = len(ids) * k
    thought, answer = sentences(rng, n, 12), sentences(rng, n, 16)
    shown = pc.binary_join_element_wise("<think>", thought, "</think>", answer, " ")
    text = pc.if_else(pa.array(rng.random(n) < 0.9), shown, answer)
    first = np.arange(n) // k * k
    text = text.take(pa.array(np.where(rng.random(n) < 0.1, first, np.arange(n))))
    numbers = pa.array(np.tile(np.arange(k, dtype=np.int32), len(ids)))
    names = pa.array([f"{POOL}:{i}" for i in ids]).take(pa.array(np.repeat(np.arange(len(ids)), k)))
    ends = pa.array(["stop"] * n)
    tokens = pa.array(np.full(n, 30, dtype=np.int32))
    columns = [names, numbers, text, ends, tokens]
    return pa.table(columns, ["sample_id", "k", "text", "finish_reason", "tokens"])


def sentences(rng: np.random.Generator, count: int, words: int) -> pa.Array:
    """Random words in rows."""
    picked: npt.NDArray[np.int64] = rng.integers(len(WORDS), size=(words, count))
    vocabulary = pa.array(WORDS.tolist())
    return pc.binary_join_element_wise(*[vocabulary.take(pa.array(row)) for row in picked], " ")


def write(path: Path, table: pa.Table) -> None:
    """Write a Parquet file as a run's own are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **PARQUET_OPTIONS)


def main() -> None:
    """Make a folder of recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5, help="K, a model and sample")
    arguments = parser.parse_args()
    make(arguments.folder, arguments.samples, arguments.responses)
    print(
        f"{arguments.folder}: {arguments.samples:,} samples × {len(MODELS)} × {arguments.responses}"
    )


if __name__ == "__main__":
    main()
