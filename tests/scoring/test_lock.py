import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest

from qibox.errors import QiboxError
from qibox.run.storage import Storage
from qibox.scoring.lock import EXPIRY_S, NAME, holder, locked


def test_the_second_is_told_who_holds_the_run(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "run")
    assert holder(storage) is None
    with locked(storage):
        who = holder(storage)
        assert who is not None
        assert who.startswith(f"process {os.getpid()} on ")
        said = f"process {os.getpid()} on .*since .*UTC"
        with pytest.raises(QiboxError, match=said) as refused, locked(storage):
            pass
        assert refused.value.exit_status == 1
    assert holder(storage) is None
    with locked(storage):
        pass


def test_a_lock_ends_with_its_process_however_it_ends(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom qibox.scoring.lock import locked\nfrom qibox.run.storage import Storage\n"
        "with locked(Storage(sys.argv[1])):\n    print('mine', flush=True)\n    sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"mine\n"
    storage = Storage(tmp_path)
    with pytest.raises(QiboxError, match=f"process {process.pid} on "), locked(storage):
        pass
    process.kill()
    process.communicate()
    with locked(storage):
        assert str(os.getpid()) in (holder(storage) or "")


def test_what_a_killed_process_had_forked_is_waited_for(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\nfrom qibox.scoring.lock import locked\n"
        "from qibox.run.storage import Storage\nwith locked(Storage(sys.argv[1])):\n"
        "    child = os.fork()\n    print('mine', flush=True) if child else time.sleep(1)\n"
        "    sys.stdin.read() if child else os._exit(0)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mine\n"
        process.kill()
        process.wait()
        storage = Storage(tmp_path)
        assert holder(storage) is not None  # by what it had forked
        with locked(storage):
            assert str(os.getpid()) in (holder(storage) or "")


def test_without_a_kernel_to_ask_a_lease_holds_until_it_is_old() -> None:
    root = "memory://lease-test"
    fsspec.filesystem("memory").store.clear()
    storage = Storage(root)
    with locked(storage):
        assert f"process {os.getpid()}" in (holder(storage) or "")
        with pytest.raises(QiboxError, match="being written by"), locked(storage):
            pass
    assert holder(storage) is None
    old = {"pid": 1, "host": "gone", "since": "long ago", "renewed": time.time() - EXPIRY_S - 1}
    storage.write_text(NAME, json.dumps(old))
    assert holder(storage) is None
    with locked(storage):
        assert f"process {os.getpid()}" in (holder(storage) or "")


def test_the_lease_of_a_process_of_this_machine_ends_with_it() -> None:
    storage = Storage("memory://lease-of-the-dead")
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine = {"pid": ended.pid, "host": socket.gethostname(), "since": "now", "renewed": time.time()}
    storage.write_text(NAME, json.dumps(mine))
    assert holder(storage) is None
    storage.write_text(NAME, json.dumps({**mine, "host": "another"}))
    assert holder(storage) is not None
