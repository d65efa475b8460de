"""Weights on the hub: at which commit, whether they are here, how large they are, how they come.

Fetched are safetensors, configuration and tokenizer into the hub's own cache; never pickled weights
and never code. A download has a process of its own, so that it ends with whoever asked for it, at
any moment, and counts against no engine's time to start::

    python -m qibox.engines.hub SOURCE REVISION CACHE
"""

import errno
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from qibox import stopping
from qibox.errors import QiboxError, WeightsNotFoundError

FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
COPIES = ["original/*", "onnx/*", "consolidated*"]  # the same weights once more, in other forms
INDEX = "model.safetensors.index.json"  # of weights in several files
CONNECT_S = 5.0  # to find out whether there is a network at all; the hub's client tries for 24

_log = logging.getLogger(__name__)


@cache
def reachable() -> bool:
    """Whether the hub may be asked: not told to stay offline, and its address answers."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return False
    url = urlsplit(constants.ENDPOINT)
    if url.scheme in urllib.request.getproxies():
        return True  # the proxy's to say
    try:
        with socket.create_connection(
            (url.hostname or "", url.port or (443 if url.scheme == "https" else 80)), CONNECT_S
        ):
            return True
    except OSError:
        return False


def hub_commit(source: str, revision: str | None) -> str:
    """The commit that a hub id and revision stand for, from the hub or the cache.

    Raises:
        WeightsNotFoundError: the model is neither in the local cache nor can it be reached.
    """
    from huggingface_hub import hf_hub_download

    here = not reachable()
    try:
        config = hf_hub_download(source, "config.json", revision=revision, local_files_only=here)
    except Exception as error:  # the hub's client raises a dozen kinds, all with one meaning here
        raise WeightsNotFoundError(
            f"model source '{source}'"
            + (f" at revision {revision}" if revision else "")
            + " is neither a directory nor in the local hub cache, and the hub did not give it "
            f"({_why(error, here)}): `qibox fetch {named(source, revision)}` where there is a "
            "network brings it, or name a directory"
        ) from error
    return Path(config).parent.name  # …/snapshots/<commit>/config.json


def commit_or_given(source: str, revision: str | None) -> str | None:
    """That commit; where the weights are not here, the revision as it was given."""
    try:
        return hub_commit(source, revision)
    except WeightsNotFoundError:
        return revision


def named(source: str, revision: str | None) -> str:
    """A hub id and its revision in one word."""
    return source if revision is None else f"{source}@{revision}"


def weights_here(source: str, revision: str | None = None, cache: Path | None = None) -> bool:
    """Whether all of a model's weights lie in a hub cache; a configuration alone is not enough."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            source,
            revision=revision,
            cache_dir=cache,
            local_files_only=True,
            allow_patterns=FILES,
            ignore_patterns=COPIES,
        )
    except (OSError, ValueError):  # not there, there in part, or no id of the hub
        return False
    return _is_whole(Path(folder))


def _is_whole(folder: Path) -> bool:
    """Whether the weights that a snapshot's index names are there."""
    index = folder / INDEX
    if not index.exists():
        return any(folder.glob("*.safetensors"))
    try:
        files = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return all((folder / file).exists() for file in files)


def bytes_to_fetch(source: str, revision: str | None = None, cache: Path | None = None) -> int:
    """Bytes that fetching a model would bring, as the hub lists its files.

    Raises:
        WeightsNotFoundError: the hub does not answer, or does not give it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import tqdm

    silent: Any = partial(tqdm, disable=True)
    try:
        listed = snapshot_download(
            source,
            revision=revision,
            cache_dir=cache,
            allow_patterns=FILES,
            ignore_patterns=COPIES,
            dry_run=True,
            tqdm_class=silent,
        )
    except Exception as error:  # as in hub_commit
        raise WeightsNotFoundError(f"{source}: {_why(error)}") from error
    return sum(file.file_size or 0 for file in listed if file.will_download)


def bring(source: str, revision: str | None = None) -> None:
    """Fetch a model's weights into this machine's hub cache, if they are not there yet.

    Raises:
        QiboxError: as :func:`fetch`.
    """
    if weights_here(source, revision):
        return
    _log.warning("the weights of %s are not here yet: fetching them", named(source, revision))
    fetch(source, revision)


def fetch(
    source: str, revision: str | None = None, cache: Path | None = None, *, show: bool = False
) -> str:
    """Fetch a model's weights, however long that takes; the commit they are of.

    What was fetched in part before is gone on with. ``show`` lets the download tell of its progress
    on this process's stderr.

    Raises:
        WeightsNotFoundError: the hub does not give them.
        QiboxError: no space is left.
        StoppedError: this process is asked to stop; what came so far is kept.
    """
    if not reachable():
        raise WeightsNotFoundError(f"{named(source, revision)}: {_UNREACHABLE}")
    link, theirs = socket.socketpair()
    python = [sys.executable, "-P", "-m"]
    wanted = [source, revision or "", str(cache or "")]
    with theirs:
        process = subprocess.Popen(
            [
                *[*python, "qibox.engines.process.tied", str(theirs.fileno())],
                *[*python, "qibox.engines.hub", *wanted],
            ],
            pass_fds=[theirs.fileno()],
            env=os.environ | ({} if show else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if show else subprocess.DEVNULL,
        )
        theirs.close()
        try:
            with stopping.on_stop(lambda: link.shutdown(socket.SHUT_RDWR)):
                said, _ = process.communicate()
        finally:
            link.close()
            process.wait()
    stopping.check()
    answer = json.loads(said) if process.returncode == 0 else {"why": "its process died"}
    if "commit" in answer:
        return str(answer["commit"])
    kind = QiboxError if answer.get("space") else WeightsNotFoundError
    raise kind(f"{named(source, revision)} could not be fetched: {answer['why']}")


_UNREACHABLE = (
    "the hub cannot be reached from here (HF_HUB_OFFLINE is set, or there is no network): fetch it "
    "where it can be, into a folder that this machine sees too"
)


def _why(error: BaseException, unreachable: bool = False) -> str:
    """What a person can do about an error of the hub's client."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return "it asks for consent to its licence: give it on its page at the hub, `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model, or only for some: check the id, or `hf auth login`"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "no space is left: free some, or set HF_HOME to a larger disk; what came is kept"
    if unreachable:
        return "which cannot be reached from here"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def main() -> None:
    """Fetch one model, and say what came of it as JSON on stdout."""
    source, revision, cache = sys.argv[1:]
    from huggingface_hub import snapshot_download

    answer: dict[str, object]
    try:
        folder = Path(
            snapshot_download(
                source,
                revision=revision or None,
                cache_dir=cache or None,
                allow_patterns=FILES,
                ignore_patterns=COPIES,
            )
        )
    except Exception as error:  # the hub's client, the HTTP library, the disk
        space = isinstance(error, OSError) and error.errno == errno.ENOSPC
        answer = {"why": _why(error), "space": space}
    else:
        answer = {"commit": folder.name} if _is_whole(folder) else {"why": _NO_WEIGHTS}
    sys.stdout.write(json.dumps(answer))


_NO_WEIGHTS = "it has no weights as safetensors, and others are never loaded"


def free_bytes(folder: Path) -> int:
    """Bytes free where a folder lies, or would."""
    return shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free


if __name__ == "__main__":
    main()
