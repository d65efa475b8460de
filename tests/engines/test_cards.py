import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qibox.engines import cards, load
from qibox.engines.cards import VARIABLE, take_own
from qibox.errors import QiboxError, UsageError
from qibox.manifests.panel import ModelSpec

CARDS = ["0", "GPU-a/b", "2", "3"]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose GPUs nobody has yet, and this worker of it."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(cards, "_taken", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(CARDS))
    monkeypatch.setenv(VARIABLE, "1")
    yield
    for file in cards._taken:
        file.close()


@contextmanager
def worker(wanted: int) -> Iterator[str]:
    """Another worker process: the GPUs that it takes and sees while it lives."""
    code = (
        "import os\nfrom qibox.engines.cards import take_own\n"
        f"take_own(lambda: {CARDS})\nprint(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\ninput()"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, VARIABLE: str(wanted)},
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_each_worker_of_a_machine_has_gpus_of_its_own_while_it_lives() -> None:
    with worker(1) as first:
        with worker(2) as second:
            assert (first, second) == ("0", "GPU-a/b,2")
            take_own(lambda: CARDS)
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
            take_own(lambda: CARDS)  # it has what it wanted
            assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
        with worker(2) as second:  # the killed one's
            assert second == "GPU-a/b,2"


def test_one_that_comes_too_late_is_told_and_takes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with worker(3):
        monkeypatch.setenv(VARIABLE, "2")
        with pytest.raises(QiboxError, match="too many of its 4 GPUs: start fewer workers"):
            take_own(lambda: CARDS)
        with worker(1) as last:
            assert last == "3"


def test_unasked_or_without_a_gpu_all_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    take_own(list)
    monkeypatch.delenv(VARIABLE)
    take_own(lambda: CARDS)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ",".join(CARDS)


@pytest.mark.parametrize("value", ["", "0", "two", "-1"])
def test_what_is_no_number_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(UsageError, match=f"{VARIABLE}={value} is no number of GPUs"):
        take_own(lambda: CARDS)


def test_a_model_starts_on_its_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "visible_gpus", lambda: CARDS)
    settings = {"isolate": False}
    spec = ModelSpec(source="builtin:agreeable", engine="transformers", settings=settings)
    with worker(1):
        load.load_engine("m", spec).close()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-a/b"
