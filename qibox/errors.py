"""What can go wrong through no fault of the code: one sentence for a person, one exit status.

Anything else that is raised is a bug and keeps its traceback.
"""

from collections.abc import Iterable


class QiboxError(Exception):
    """Work stopped for a reason a person can act on; the command line prints the message only.

    ``fields`` names what of a request or manifest would have to change: the command line, which
    knows by which options they are set, adds those to the message.
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
