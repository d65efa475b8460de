"""What can go wrong through no fault of the code: one sentence for a person, one exit status.

Anything else that is raised is a bug and keeps its traceback.
"""

import shlex
from collections.abc import Iterable


class QiboxError(Exception):
    """Work stopped for a reason a person can act on; the command line prints the message only.

    ``fields`` names what of a request or manifest would have to change, ``name`` or ``name=value``:
    the command line, which knows by which options they are set, adds those to the message.
    """

    exit_status = 1

    def __init__(self, message: str, *, fields: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class UsageError(QiboxError):
    """A wrong value, path, name or manifest: the message names it, what is allowed, and the fix."""

    exit_status = 2


class WeightsNotFoundError(UsageError):
    """A model's weights are not on this machine, and the hub did not give them."""


class PoolNotFoundError(UsageError):
    """A pool's data are not on this machine, and the hub did not give them."""


class DamagedFileError(QiboxError):
    """A file of a run does not hold what was written: the message names it and what mends it."""


class TooManyRejectsError(QiboxError):
    """The work is done, but more rows failed than the caller allowed."""

    exit_status = 3


def command(step: str, run: object = None, **values: object) -> str:
    """What does a step, for a message to name: `` `qibox select runs/mini name=qi` ``.

    ``run`` stands first where the step takes it so. Values are named as fields of errors are, and
    the command line puts its options in their place.
    """
    words = ["qibox", step] if run is None else ["qibox", step, shlex.quote(str(run))]
    words += [f"{name}={_word(value)}" for name, value in values.items()]
    return f"`{' '.join(words)}`"


def _word(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "yes" if value is True else shlex.quote(str(value))
