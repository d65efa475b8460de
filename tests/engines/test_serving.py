"""What a server is started with, and what is said where none can be started or asked."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from qibox.engines.load import has_vllm, resolve_model
from qibox.engines.served import full_name
from qibox.engines.serving import ModelServer, environment, flags, free_port, servable
from qibox.errors import QiboxError, UsageError
from qibox.manifests.panel import ModelSpec
from qibox.manifests.settings import VLLMSettings

MODEL = "builtin:strong"
needs_vllm = pytest.mark.skipif(not has_vllm(), reason="vLLM IS NOT INSTALLED: make setup-vllm")


def test_the_command_line_holds_the_manifests_settings_and_both_names() -> None:
    spec = servable("strong", ModelSpec(source=MODEL, settings={"max_model_len": 99}))
    settings = VLLMSettings(max_model_len=99, data_parallel_size=2, extra={"block_size": 32})
    line = flags("strong", spec, settings, "127.0.0.1", 8001)
    start = line.index("--served-model-name")
    assert line[start + 1 : start + 3] == ["strong", full_name("strong", spec)]
    pairs = dict(pairwise(line))
    assert pairs["--max-model-len"] == "99"
    assert pairs["--data-parallel-size"] == "2"
    assert pairs["--block-size"] == "32"
    assert pairs["--limit-mm-per-prompt"] == '{"image": 1, "video": 0}'
    assert pairs["--port"] == "8001"
    assert "--trust-remote-code" not in line
    assert "--chat-template" not in line


def test_settings_that_only_operate_are_not_in_the_name() -> None:
    spec = ModelSpec(source=MODEL, engine="vllm", revision="r", settings={"dtype": "float32"})
    same = spec.model_copy(update={"settings": {**spec.settings, "max_num_seqs": 3}})
    other = spec.model_copy(update={"settings": {"dtype": "bfloat16"}})
    assert full_name("a", same) == full_name("a", spec)
    assert full_name("a", other) != full_name("a", spec)


def test_the_key_and_the_cards_are_handed_on_and_a_launchers_words_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QIBOX_KEY", "abc")
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = environment(VLLMSettings(), ("3", "5"))
    assert found["VLLM_API_KEY"] == "abc"
    assert found["CUDA_VISIBLE_DEVICES"] == "3,5"
    assert "WORLD_SIZE" not in found


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"nothing can listen at 127.0.0.1:{port}"):
            free_port("127.0.0.1", port)


def test_where_nobody_serves_is_one_sentence() -> None:
    spec = ModelSpec(source=MODEL, at=f"http://127.0.0.1:{free_port('127.0.0.1')}/v1")
    with pytest.raises(UsageError, match="start it with `qibox serve strong`"):
        resolve_model(spec, "strong")


def test_another_engines_model_is_not_served() -> None:
    with pytest.raises(UsageError, match="'m' runs on engine replay by its manifest"):
        servable("m", ModelSpec(source="x", engine="replay"))


@pytest.mark.slow
@needs_vllm
def test_a_server_that_cannot_start_says_why() -> None:
    spec = ModelSpec(source=MODEL, engine="vllm", settings={"extra": {"no_such_option": 1}})
    with (
        closing(ModelServer("strong", resolve_model(spec))) as server,
        pytest.raises(
            QiboxError, match=r"(?s)ended with status 2; its log ends:.*--no-such-option"
        ),
    ):
        server.wait()


def tied(tmp_path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A process that ties a command to itself, and the pid of what that command started."""
    note = tmp_path / "pid"
    command = f"sleep 300 & echo $! > {note}.new; mv {note}.new {note}; wait"
    code = (
        "import socket, subprocess, sys, time\n"
        "mine, theirs = socket.socketpair()\n"
        "tied = ['-P', '-m', 'qibox.engines.process.tied', str(theirs.fileno())]\n"
        f"command = [sys.executable, *tied, 'sh', '-c', {command!r}]\n"
        "process = subprocess.Popen(command, pass_fds=[theirs.fileno()])\n"
        "theirs.close()\n"
        "time.sleep(300)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code])
    while not note.exists():
        assert starter.poll() is None
        time.sleep(0.05)
    return starter, int(note.read_text())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_is_tied_ends_with_its_starter_however_that_ends(
    tmp_path: Path, how: signal.Signals
) -> None:
    starter, inner = tied(tmp_path)
    process = psutil.Process(inner)
    os.kill(starter.pid, how)
    starter.wait()
    gone, alive = psutil.wait_procs([process], timeout=60)
    assert not alive
    assert gone or not psutil.pid_exists(inner)
