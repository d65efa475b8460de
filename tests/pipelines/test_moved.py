"""A run goes on with other machines, and one of an earlier version only with consent."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from qibox.errors import UsageError
from qibox.manifests import JudgeManifest
from qibox.pipelines.run import score_run
from qibox.run.directory import RUN_FILE, RunManifest
from qibox.run.storage import Storage
from qibox.run.units import FORMAT
from qibox.scoring import consent
from tests.pipelines.test_score import Silent, marks
from tests.runs import MODELS, manifest, sample, write_run

ONE_GPU = {"dtype": "bfloat16", "max_model_len": 4096}
EIGHT_GPUS = {
    **ONE_GPU,
    "tensor_parallel_size": 4,
    "data_parallel_size": 2,
    "max_num_seqs": 512,
    "enable_prefix_caching": False,
    "gpu_memory_utilization": 0.8,
}
SAMPLES = [sample(f"s{i}", 5.0, 1.0) for i in range(6)]  # two shards


def on_vllm(settings: dict[str, Any]) -> RunManifest:
    """A run of models and a second judge that vLLM would run; nothing here starts it."""
    bare = manifest()
    models = {
        name: spec.model_copy(
            update={"engine": "vllm", "settings": settings, "revision": f"sha256:{name}"}
        )
        for name, spec in bare.panel.models.items()
    }
    grm = JudgeManifest.model_validate(
        {
            "name": "grm",
            "about": "rates by a rubric",
            "kind": "generative",
            "model": {"source": "x/grm", "engine": "vllm", "settings": settings},
        }
    )
    panel = bare.panel.model_copy(update={"models": models})
    return bare.model_copy(update={"panel": panel, "judges": (*bare.judges, grm)})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """All tables of two shards; the second judge says what the first one does."""
    made = write_run(tmp_path / "run", SAMPLES, made_of=on_vllm(ONE_GPU))
    index = made.pool_index()
    assert index is not None
    first, second = (made.judgments_units(j, index.shards()) for j in made.manifest.judges)
    for hashed, rated in zip(first, second, strict=True):
        made.storage.write_table(rated.path, made.storage.read_table(hashed.path), rated.key)
    return tmp_path / "run"


def test_from_one_gpu_to_eight_in_the_middle_of_a_run_nothing_is_redone(run: Path) -> None:
    lost = ["judgments/judge=hash/model=first/shard-00001.parquet", "scores/shard-00001.parquet"]
    for name in lost:
        (run / name).unlink()
    before, watcher = marks(run), Silent()
    summary = score_run(run, on_vllm(EIGHT_GPUS), watcher)
    assert watcher.waves == ["judgments-hash:1", "scores:1"]
    assert watcher.remarks == []
    after = marks(run)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == set(lost)
    assert summary.complete
    written = yaml.safe_load((run / RUN_FILE).read_text())["panel"]["models"][MODELS[0]]
    assert written["settings"] == EIGHT_GPUS


def test_another_precision_is_another_answer(run: Path) -> None:
    half = on_vllm({**ONE_GPU, "dtype": "float16"})
    with pytest.raises(UsageError, match=r"settings\.dtype was bfloat16 and is now float16"):
        score_run(run, half, Silent())


def test_files_of_a_format_that_rose_are_made_anew_only_with_consent(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    risen = {**FORMAT, "scores": FORMAT["scores"] + 1}
    for place in ("qibox.run.units", "qibox.run.directory", "qibox.scoring.consent"):
        monkeypatch.setattr(f"{place}.FORMAT", risen)
    before = marks(run)
    with pytest.raises(UsageError) as refused:
        score_run(run, on_vllm(ONE_GPU), Silent())
    assert str(refused.value) == (
        f"{Storage(run).url} was made by another version of qibox: the format of its scores was 1 "
        "and is now 2. Score into another directory, or let the files that this touches be set "
        "aside under outdated/ and made anew, from stage scores on"
    )
    assert refused.value.fields == ("out", "rescore=scores")
    assert marks(run) == before
    watcher = Silent()
    score_run(run, on_vllm(ONE_GPU), watcher, rescore="scores")
    assert watcher.waves == ["scores:2"]
    assert (run / "outdated/scores/shard-00000.parquet").exists()
    assert yaml.safe_load((run / RUN_FILE).read_text())["format"] == consent.FORMAT
    again = Silent()
    score_run(run, on_vllm(ONE_GPU), again)
    assert again.waves == []
