import hashlib
import io
import json
from collections import defaultdict
from itertools import islice
from pathlib import Path

import pyarrow as pa
from PIL import Image

from qibox.manifests import JudgeManifest, PanelManifest, PoolManifest, load_manifest
from qibox.mini.answers import risks_in
from qibox.mini.pool import SIZES, iter_items, iter_samples, recall
from qibox.pool.ingest import ingest
from qibox.run.directory import Run, RunManifest
from qibox.run.layout import pool_path
from qibox.run.storage import Storage

TOLD = ("sample_id", "question", "category", "severity", "risk", "meta")


def digest(size: int) -> str:
    hasher = hashlib.sha256()
    for sample in iter_samples("train", size):
        hasher.update(sample["question"].encode())
        hasher.update(sample["meta"].encode())
    return hasher.hexdigest()


def test_the_pool_is_the_same_each_time_and_a_smaller_one_is_its_beginning() -> None:
    assert digest(200) == digest(200)
    small = [sample["sample_id"] for sample in iter_samples("train", 50)]
    large = [sample["sample_id"] for sample in iter_samples("train", 150)]
    assert large[:50] == small
    assert [s["question"] for s in iter_samples("train", 50, seed=1)] != [
        s["question"] for s in iter_samples("train", 50)
    ]


def test_sizes_ids_and_columns() -> None:
    for split, size in (("train", 1000), ("heldout", 1000)):
        samples = list(iter_samples(split))  # type: ignore[arg-type]
        assert len(samples) == size == SIZES[split]  # type: ignore[index]
        assert len({s["sample_id"] for s in samples}) == size
        for s in samples:
            assert s["risk"] in ("none", "explicit", "implicit")
            assert (s["severity"] is None) == (s["risk"] == "none")


def test_no_heldout_sample_shares_question_and_objects_with_training() -> None:
    train = {(q.text, scene.objects) for scene, q in islice(iter_items("train", 0), 1000)}
    heldout = {(q.text, scene.objects) for scene, q in islice(iter_items("heldout", 0), 1000)}
    assert len(train) == len(heldout) == 1000  # none comes twice either
    assert not train & heldout
    # Stronger: no picture of one split shows a set of objects that the other one shows.
    assert not {objects for _, objects in train} & {objects for _, objects in heldout}


def test_the_first_300_held_out_are_those_of_published_results() -> None:
    # Figures in docs/results.md are of these; a change here makes them another experiment's.
    hasher = hashlib.sha256()
    for sample in islice(iter_samples("heldout"), 300):
        hasher.update(json.dumps([sample[name] for name in TOLD]).encode())
    assert hasher.hexdigest() == "8bcc87a3798dca94ac0834abf0bfe01ab5b59170ec149fb4f4940adb4e461686"


def test_a_limit_reads_the_beginning_of_the_held_out_pool(tmp_path: Path) -> None:
    manifest = RunManifest(
        pool=load_manifest(PoolManifest, "mini-heldout"),
        panel=load_manifest(PanelManifest, "mini"),
        judges=(load_manifest(JudgeManifest, "oracle"),),
        limit=300,
    )
    run = Run.create(Storage(tmp_path), manifest)
    index = ingest(run)
    assert (index.samples, index.sizes) == (300, (250, 50))
    shards = [run.storage.read_table(pool_path(shard)) for shard in range(2)]
    read = pa.concat_tables(shards)
    assert set(read["license"].to_pylist()) == {"Apache-2.0"}
    assert read.drop_columns("license").to_pylist() == list(iter_samples("heldout", 300))


def test_neither_picture_nor_question_alone_tells_risk() -> None:
    by_question: dict[tuple[str, int], list[bool]] = defaultdict(list)
    by_picture: dict[tuple[str | None, ...], list[bool]] = defaultdict(list)
    for scene, question in islice(iter_items("train", 0), 1000):
        if question.kind == "implicit":
            risky = bool(risks_in(scene, question))
            by_question[(question.topic, question.wording)].append(risky)
            by_picture[scene.cells].append(risky)
    for risks in by_question.values():
        assert 0.35 < sum(risks) / len(risks) < 0.65
    # Each picture comes under two questions and is risky under exactly one of them.
    assert all(sum(risks) * 2 == len(risks) for risks in by_picture.values())


def test_the_picture_shows_the_scene_that_the_judge_knows() -> None:
    for sample in iter_samples("train", 30):
        meta = json.loads(sample["meta"])
        scene, question = recall(meta)
        assert question.text == sample["question"]
        image = Image.open(io.BytesIO(sample["image"]["bytes"]))
        assert image.size == (84, 84)
        cells = [
            image.crop((28 * (i % 3), 28 * (i // 3), 28 * (i % 3) + 28, 28 * (i // 3) + 28))
            for i in range(9)
        ]
        empty = {cells[i].tobytes() for i in range(9) if scene.cells[i] is None}
        drawn = [cells[i].tobytes() for i in range(9) if scene.cells[i] is not None]
        assert len(empty) == 1  # an empty cell always looks the same
        assert len(set(drawn)) == len(drawn)  # and no object looks like it or like another
        assert not set(drawn) & empty
