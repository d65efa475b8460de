"""Damaged files of a run: which they are, in one sentence with the command that mends each."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from qibox.errors import DamagedFileError, command

_UNIT = re.compile(r"(responses|judgments|scores)/(.+/)?shard-\d{5,}\.parquet")
_POOL = re.compile(r"(pool|rejects)/shard-\d{5,}\.parquet")
_SELECTION = re.compile(r"selections/(?P<name>[^/]+)/.+")
_TRAINING = re.compile(r"(?P<folder>policies/[^/]+/training)/.+")
_POLICY = re.compile(r"policies/(?P<name>[^/]+)/.+")
_EVALUATION = re.compile(r"evaluations/(?P<name>[^/]+)/(?P<rest>.+)")
_PROFILE = re.compile(r"profiles/(?P<name>[^/]+)/.+")


def how_to_mend(root: str, name: str, *, local: bool = True) -> str:
    """What makes a file of the run at ``root`` again.

    A command that scores finds damaged files on a local disk by itself; elsewhere it would have to
    fetch all of them.
    """
    first = "" if local else "remove it, and "
    if name == "pool/_index.json":
        return f"remove it, and {command('score', out=root)} reads the pool again"
    if name == "run.yaml":
        other = "score into another directory; the tables beside it are kept"
        return f"put a copy in its place, or {other}"
    if _POOL.fullmatch(name):
        return (
            f"{command('score', out=root, rescore='pool')} with the options of this run reads it "
            "again where the pool still is"
        )
    if _UNIT.fullmatch(name):
        return f"{first}{command('score', out=root)} with the options of this run makes it again"
    if found := _SELECTION.fullmatch(name):
        again = command("select", root, name=found["name"], overwrite=True)
        return f"{again} with its box makes it again"
    if found := _EVALUATION.fullmatch(name):
        if _POOL.fullmatch(found["rest"]) or found["rest"] == "pool/_index.json":
            return (
                f"remove {root}/evaluations/{found['name']}/pool, and `qibox eval` reads it again"
            )
        remove = "remove it, and " if found["rest"] == "rates.parquet" else first
        return f"{remove}{command('eval', root, pool=found['name'])} makes it again"
    if found := _PROFILE.fullmatch(name):
        return f"{first}`qibox profile {root}` with this policy makes it again"
    if found := _TRAINING.fullmatch(name):
        return f"remove {root}/{found['folder']}, and the same `qibox train` begins anew"
    if found := _POLICY.fullmatch(name):
        return (
            "nothing but the same training makes it again: put a copy in its place, or "
            + command("train", root, name=found["name"], overwrite=True)
        )
    return "put a copy in its place"


def damaged(root: str, name: str, why: str, *, local: bool = True) -> DamagedFileError:
    """The error that names a damaged file, what is wrong with it and the command that mends it."""
    path = f"{root.rstrip('/')}/{name}"
    return DamagedFileError(f"{path} is damaged ({why}): {how_to_mend(root, name, local=local)}")


@contextmanager
def telling_damage(fault: Callable[[str], Exception]) -> Iterator[None]:
    """Make of Arrow's complaints about a file's bytes the error that names the file.

    An error of the storage itself (a number, or a type of its own, tells) is no damage and passes.
    """
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError) as error:
        raise fault(_first_line(error)) from error
    except OSError as error:
        if type(error) is OSError and error.errno is None:  # Arrow's own: thrift, zstd, checksums
            raise fault(_first_line(error)) from error
        raise


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200].rstrip(". ")
