import pyarrow as pa
import pytest

from qibox.errors import UsageError
from qibox.evaluation.contamination import refuse_benchmarks, refuse_overlap
from qibox.manifests import PoolManifest, load_manifest

PICTURE = {"bytes": b"picture", "path": None}
OTHER = {"bytes": b"another", "path": None}


def pool(*samples: tuple[str, dict[str, object] | None]) -> pa.Table:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table(
        {
            "question": pa.array([question for question, _ in samples], pa.string()),
            "image": pa.array([picture for _, picture in samples], image),
        }
    )


def selection(*samples: tuple[str, dict[str, object] | None]) -> pa.Table:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [[picture] if picture else [] for _, picture in samples]
    return pa.table(
        {
            "question": pa.array([question for question, _ in samples], pa.string()),
            "images": pa.array(images, pa.list_(image)),
        }
    )


def test_the_same_question_about_the_same_picture_is_refused() -> None:
    shards = [pool(("why ?", OTHER)), pool(("why ?", PICTURE), ("when ?", None))]
    with pytest.raises(UsageError, match="pool 'held' shares 2 samples with the selection"):
        refuse_overlap([selection(("why ?", PICTURE)), selection(("when ?", None))], shards, "held")


def test_the_same_picture_or_the_same_question_alone_is_fine() -> None:
    shards = [pool(("why ?", OTHER), ("how ?", PICTURE), ("why ?", None))]
    refuse_overlap([selection(("why ?", PICTURE))], shards, "held")


def test_a_benchmark_is_refused_by_its_run_or_by_its_samples_source() -> None:
    training = load_manifest(PoolManifest, "mini")
    held_out = load_manifest(PoolManifest, "mini-heldout")
    refuse_benchmarks(training, ["mini", "my-own-data"])
    with pytest.raises(UsageError, match="samples of mini-heldout, a benchmark"):
        refuse_benchmarks(training, ["mini", "mini-heldout"])
    with pytest.raises(UsageError, match="samples of mini-heldout, a benchmark"):
        refuse_benchmarks(held_out, [])
