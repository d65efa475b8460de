"""Keep what is trained on and what is evaluated on apart.

BeaverTails-V, for one, is published both as training data and as a benchmark. Two checks: by name,
a benchmark's samples are never trained on; by content, an evaluation shares no sample (question
and image bytes) with what the policy was trained on.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from qibox.errors import UsageError
from qibox.manifests.load import list_manifests, load_manifest
from qibox.manifests.pool import PoolManifest
from qibox.pool.duplicates import Hashes, SeenHashes, content_hashes
from qibox.selection.read import first_images


def refuse_benchmarks(pool: PoolManifest, sources: Iterable[str]) -> None:
    """Refuse training samples of a pool that is held out for evaluation.

    ``pool`` is the run's; ``sources`` are the samples' own.

    Raises:
        UsageError: the pool, or a shipped pool that a source names, is a benchmark.
    """
    shipped = set(list_manifests(PoolManifest))
    held_out = {
        name for name in sources if name in shipped and load_manifest(PoolManifest, name).benchmark
    }
    if pool.benchmark:
        held_out.add(pool.name)
    if held_out:
        raise UsageError(
            f"the selection holds samples of {', '.join(sorted(held_out))}, a benchmark: training "
            "on it would spoil every evaluation; score another pool and select from that"
        )


def refuse_overlap(trained_on: Iterable[pa.Table], shards: Iterable[pa.Table], pool: str) -> None:
    """Refuse to evaluate on samples that were trained on.

    ``trained_on`` are selections, with columns question and images; ``shards`` the pool's columns.

    Raises:
        UsageError: a sample's question and image bytes are in both; the message says how many.
    """
    known = SeenHashes()
    for selection in trained_on:
        images = first_images(selection["images"])
        for batch in pa.table({"question": selection["question"], "image": images}).to_batches():
            known.add(_hashes(batch))
    shared = 0
    for samples in shards:
        for batch in samples.select(["question", "image"]).to_batches():
            shared += int(known.holds(_hashes(batch)).sum())
    if shared:
        raise UsageError(
            f"pool '{pool}' shares {shared} samples with the selection that the policy was trained "
            "on, so it would flatter it: evaluate on another",
            fields=["pool"],
        )


def _hashes(samples: pa.RecordBatch) -> Hashes:
    return content_hashes(samples["question"], pc.struct_field(samples["image"], "bytes"))
