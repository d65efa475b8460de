"""What of Beam's options would wait for ever, call something else or fail with a traceback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineRunner

from qibox.errors import QiboxError, UsageError

LOCAL = {"directrunner", "fnapirunner", "bundlebaseddirectrunner", "switchingdirectrunner"}
PREFIX = "apache_beam.runners."


def check_options(options: PipelineOptions) -> None:
    """Refuse a runner that is not Beam's, and numbers of workers that no machine has.

    Raises:
        UsageError: names the value, what is allowed and the fix.
    """
    runner = options.view_as(StandardOptions).runner
    if runner is not None:
        _check_runner(runner)
    workers = options.view_as(DirectOptions).direct_num_workers
    most = max(8, 4 * (os.cpu_count() or 1))
    if not 0 <= workers <= most:
        raise UsageError(
            f"Beam's direct_num_workers={workers}: this machine takes 0 (all cores) to {most}"
        )


def _check_runner(runner: str) -> None:
    known = {path.rpartition(".")[2].lower() for path in StandardOptions.ALL_KNOWN_RUNNERS}
    if {runner.lower(), f"{runner.lower()}runner"} & known:
        return
    names = ", ".join(StandardOptions.KNOWN_RUNNER_NAMES)
    allowed = f"allowed are {names}, or a runner of Beam's by its full name ({PREFIX}…)"
    if not runner.startswith(PREFIX):
        raise UsageError(f"runner={runner} is no runner of Beam's: {allowed}")
    module, _, name = runner.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise UsageError(f"runner={runner} cannot be loaded ({error}): {allowed}") from error
    if not (isinstance(found, type) and issubclass(found, PipelineRunner)):
        raise UsageError(f"runner={runner} is no runner of Beam's: {allowed}")


@contextmanager
def telling_runner(options: PipelineOptions) -> Iterator[None]:
    """Word what a runner elsewhere has against starting: a region, a jar, an address.

    Raises:
        QiboxError: names the runner and what it said.
    """
    runner = options.view_as(StandardOptions).runner
    if (
        runner is None
        or runner.rpartition(".")[2].lower().removesuffix("runner") + "runner" in LOCAL
    ):
        yield
        return
    try:
        yield
    except QiboxError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:400].rstrip(". ") or type(error).__name__
        raise QiboxError(
            f"Beam's {runner} did not do the work: {said}. What was finished is kept; mend the "
            "options after --, or leave them out to work on this machine"
        ) from error
