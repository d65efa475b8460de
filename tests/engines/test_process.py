import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tinymodel import prompts

from qibox.engines.process.parent import ChildEngine, end_idle_children
from qibox.errors import QiboxError
from qibox.manifests.sampling import Sampling
from qibox.manifests.settings import HostedSettings

QUICK = HostedSettings(stall_timeout_s=2, start_timeout_s=60, retries=1, max_restarts=20)
Start = Callable[..., ChildEngine]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    engines = []

    def started(settings: HostedSettings = QUICK, reuse: bool = False, **arguments) -> ChildEngine:
        arguments = {"scratch": str(tmp_path), **arguments}
        engine = ChildEngine("faulty:build", arguments, settings, reuse=reuse)
        engines.append(engine)
        return engine

    yield started
    for engine in engines:
        engine.close()


def run(engine: ChildEngine, *texts: str, samples: int = 2) -> list[str]:
    """Each row's text, or its reason in brackets."""
    table = engine.generate(prompts(list(texts), [None] * len(texts)), Sampling(samples=samples))
    assert table["key"].to_pylist() == [f"p{i}" for i in range(len(texts)) for _ in range(samples)]
    assert table["k"].to_pylist() == list(range(samples)) * len(texts)
    pairs = zip(table["text"].to_pylist(), table["reason"].to_pylist(), strict=True)
    return [f"[{reason}]" if text is None else text for text, reason in pairs]


def calls(tmp_path: Path) -> list[int]:
    lines = (tmp_path / "calls").read_text().splitlines()
    return [int(line.split()[1]) for line in lines]


def test_answers_come_from_another_process(start, tmp_path):
    engine = start()
    assert run(engine, "a", "b") == ["a/0", "a/1", "b/0", "b/1"]
    pid = int((tmp_path / "calls").read_text().split()[0])
    assert pid == engine.pid != os.getpid()


def test_a_prompt_that_raises_costs_its_rows_alone_and_no_restart(start):
    engine = start()
    before = engine.pid
    reason = "[ValueError: asked to]"
    assert run(engine, "a", "raise", "b") == ["a/0", "a/1", reason, reason, "b/0", "b/1"]
    assert engine.pid == before


def test_out_of_memory_gets_smaller_batches_and_remembers(start, tmp_path):
    engine = start(fits=2)
    assert run(engine, *"abcdefgh", samples=1) == [f"{c}/0" for c in "abcdefgh"]
    assert calls(tmp_path) == [8, 4, 2, 2, 2, 2]
    run(engine, *"abcd", samples=1)
    assert calls(tmp_path)[6:] == [2, 2]


def test_a_process_that_dies_is_started_again_and_the_batch_retried(start, caplog):
    engine = start()
    before = engine.pid
    assert run(engine, "a", "die-once", samples=1) == ["a/0", "die-once/0"]
    assert engine.pid != before
    assert "engine process died (signal SIGKILL), with 2 prompts in hand" in caplog.text


def test_a_prompt_that_always_kills_the_process_costs_its_rows_alone(start):
    engine = start()
    expected = [f"{c}/0" for c in "abc"] + ["[engine process died (signal SIGKILL)]", "d/0"]
    assert run(engine, "a", "b", "c", "die", "d", samples=1) == expected
    assert run(engine, "e", samples=1) == ["e/0"]


def test_an_exit_is_told_from_a_signal(start):
    assert run(start(), "exit", samples=1) == ["[engine process died (exit status 3)]"]


def test_an_engine_that_hangs_is_killed_and_the_rest_goes_on(start):
    engine = start(HostedSettings(stall_timeout_s=3, retries=0))
    reason = "[engine made no progress for 3 s]"
    assert run(engine, "a", "hang", samples=1) == ["a/0", reason]


def test_an_error_that_poisons_the_process_restarts_it(start):
    engine = start(HostedSettings(stall_timeout_s=10, retries=0))
    before = engine.pid
    rows = run(engine, "a", "broken", samples=1)
    assert rows[0] == "a/0"
    assert rows[1].startswith("[engine broke: RuntimeError: CUDA error")
    assert run(engine, "b", samples=1) == ["b/0"]
    assert engine.pid != before


def test_restarts_are_bounded_and_the_rows_say_why(start):
    engine = start(HostedSettings(stall_timeout_s=10, retries=1, max_restarts=2))
    rows = run(engine, *["die"] * 8, samples=1)
    assert len(rows) == 8
    assert all(row.startswith("[engine process died") for row in rows)


def test_an_engine_that_refuses_to_load_says_why(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with pytest.raises(QiboxError, match="ValueError: no such weights"):
        ChildEngine("faulty:refuse", {}, QUICK)


def test_an_engine_that_dies_while_loading_shows_its_log(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    with pytest.raises(QiboxError, match=r"(?s)signal SIGSEGV.*while it loaded.*about to die"):
        ChildEngine("faulty:die_at_start", {}, QUICK)


def test_closing_ends_the_engine_and_its_process(start, tmp_path):
    engine = start()
    pid = engine.pid
    assert pid is not None
    engine.close()
    assert (tmp_path / "closed").exists()
    assert not psutil.pid_exists(pid)


def test_a_process_can_serve_the_next_engine(start, tmp_path):
    first = start(reuse=True)
    pid = first.pid
    first.close()
    second = start(reuse=True)
    assert second.pid == pid
    assert run(second, "a", samples=1) == ["a/0"]
    second.close()
    end_idle_children()
    assert not psutil.pid_exists(pid)


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_no_child_outlives_its_parent(tmp_path, monkeypatch, how):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    script = f"""
import os, signal, threading
from tinymodel import prompts
from qibox.manifests.sampling import Sampling
from qibox.engines.process.parent import ChildEngine
from qibox.manifests.settings import HostedSettings
engine = ChildEngine("faulty:build", {{"scratch": {str(tmp_path)!r}}}, HostedSettings())
print(engine.pid, flush=True)
work = threading.Thread(target=engine.generate, args=(prompts(["hang"], [None]), Sampling()))
work.daemon = True
work.start()
work.join(1)
if {how!r} == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == (-signal.SIGKILL if how == "kill" else 0), ended.stderr
    pid = int(ended.stdout)
    for _ in range(100):
        if not psutil.pid_exists(pid):
            break
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
