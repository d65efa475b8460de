"""The whole command line in this process: what it prints and its exit status, as a shell sees it.

An exception that a shell would show as a traceback is raised here.
"""

import contextlib
import io
import sys
from dataclasses import dataclass
from unittest.mock import patch

from qibox.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    stdout: str
    stderr: str


def qibox(*arguments: object) -> Done:
    """Run `qibox` with these arguments, from the entry point on."""
    out, err = io.StringIO(), io.StringIO()
    given = ["qibox", *map(str, arguments)]
    with (
        patch.object(sys, "argv", given),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
    return Done(status, out.getvalue(), err.getvalue())
