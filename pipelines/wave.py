"""A turn's waves as a Beam pipeline: Create(shards) | GroupByKey | DoUnits, run to its end.

Elements are the pending units of one shard, each under a number of its own; the data stays columnar
inside the step. In this process they are threads, which take the shards from a board. What a model
needs of a machine goes to the runner as resource hints on the step.
"""

import io
import logging
import uuid
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stderr
from functools import cache
from typing import Any, cast

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PipelineOptionsT, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.worker import sdk_worker, statesampler

from qibox import stopping
from qibox.errors import UsageError
from qibox.manifests.panel import Accelerator
from qibox.pipelines.on_dask import (
    divide,
    is_dask,
    let_go,
    name_in_full,
    placed,
    wait,
)
from qibox.pipelines.options import check_options, telling_runner
from qibox.pipelines.worker import DoPosted, DoUnits
from qibox.scoring.board import Board
from qibox.scoring.turns import Turn, packed

SAMPLING_MS = 10  # between two looks of Beam at what its steps are at; by default it is 200


def resource_hints(accelerator: Accelerator | None) -> dict[str, str]:
    """Beam's resource hints for what a model needs; a runner without such machines ignores them."""
    if accelerator is None:
        return {}
    hints = {}
    if accelerator.type is not None:
        count = f"count:{accelerator.count}"
        hints["accelerator"] = f"type:{accelerator.type};{count};install-nvidia-driver"
    if accelerator.min_ram_gb is not None:
        hints["min_ram"] = f"{accelerator.min_ram_gb}GB"
    return hints


def build(
    pipeline: beam.Pipeline,
    root: str,
    turn: Turn,
    allow_remote_code: bool = False,
    kept: str | None = None,
) -> None:
    """Put a turn's steps into a pipeline: the shards, spread over workers, each done whole.

    Under ``kept`` workers keep what they load, see :mod:`qibox.pipelines.kept`: they are Dask's,
    and each element has a partition of its own from the start.

    Grouping by numbers that are all different spreads elements as a Reshuffle does, in a third of
    the steps: a pipeline costs its runner tens of milliseconds a step before any work begins. Dask
    makes of it some 66 tasks a shard where there are 10,000.
    """
    do_units = _named(DoUnits(turn.stages, root, allow_remote_code, kept), turn)
    numbered = enumerate(map(packed, turn.shards()))
    if kept is not None:
        elements = [(number, [work]) for number, work in numbered]
        _ = pipeline | "Shards" >> beam.Create(elements, reshuffle=False) | do_units
        return
    shards = pipeline | "Shards" >> beam.Create(numbered, reshuffle=False)
    _ = shards | "Spread" >> beam.GroupByKey() | do_units


def build_here(
    pipeline: beam.Pipeline,
    root: str,
    turn: Turn,
    allow_remote_code: bool,
    *,
    threads: int,
    board: str,
) -> None:
    """The same where so many threads of this process work through what is posted on a board."""
    do_posted = _named(DoPosted(turn.stages, root, allow_remote_code, board=board), turn)
    numbers = pipeline | "Threads" >> beam.Create([(n, n) for n in range(threads)], reshuffle=False)
    _ = numbers | "Spread" >> beam.GroupByKey() | do_posted


def _named(step: DoUnits, turn: Turn) -> Any:
    """A turn's step under its name, with what it needs of a machine."""
    return turn.name >> beam.ParDo(step).with_resource_hints(**resource_hints(turn.accelerator))


def is_here(options: Sequence[str]) -> bool:
    """Whether Beam's options leave the work to threads of this process.

    Raises:
        UsageError: a Beam option that is unknown or does not hold.
    """
    return parse_options(options).view_as(StandardOptions).runner is None


def run_here(
    root: str,
    turn: Turn,
    board: Board,
    threads: int,
    options: Sequence[str] = (),
    allow_remote_code: bool = False,
) -> None:
    """Run a turn's pipeline on threads of this process until a board of its shards is empty.

    Raises:
        Exception: what Beam raises when a step fails.
    """
    if threads > 1:
        # The runner works through a stage on so many threads in its in-memory mode too; what it
        # calls multi_threading adds three gRPC servers and their threads, for each wave anew.
        options = [*options, f"--direct_num_workers={threads}"]
    pipeline = beam.Pipeline(FnApiRunner(), _Options(list(options)))
    build_here(pipeline, root, turn, allow_remote_code, threads=threads, board=board.name)
    pipeline.run()  # to its end


def run_by_options(
    root: str, turn: Turn, words: Sequence[str], allow_remote_code: bool = False
) -> None:
    """Run a turn's pipeline to its end by the runner that Beam's options name.

    Raises:
        UsageError: a Beam option that is unknown or does not hold.
        QiboxError: a runner elsewhere could not be started, or failed.
        Exception: what Beam raises when a step fails.
    """
    options = parse_options(words)
    on_dask = is_dask(options)
    key = uuid.uuid4().hex if on_dask else None
    if on_dask:
        divide(options, len(turn.shards()))
    with telling_runner(options):
        pipeline = beam.Pipeline(options=options)
        build(pipeline, root, turn, allow_remote_code, key)
        with placed(turn.accelerator) if on_dask else nullcontext():
            result = pipeline.run()
        with let_go(result, key), stopping.on_stop(result.cancel):
            if on_dask:
                wait(result, turn)
            else:
                result.wait_until_finish()


class _Options(PipelineOptions):
    """Beam's options, each view of them made once.

    Beam asks for fifty views while it runs one pipeline, and parses its command line for each.
    """

    def view_as(self, cls: type[PipelineOptionsT]) -> PipelineOptionsT:
        views = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return cast(PipelineOptionsT, views[cls])


def parse_options(options: Sequence[str]) -> PipelineOptions:
    """Check Beam's own options; a runner of another kind may know more than Beam does.

    Raises:
        UsageError: one that Beam does not know, or whose value does not hold.
    """
    _check_options(tuple(options))
    parsed = PipelineOptions(list(options))  # anew for each pipeline, as runners write into it
    name_in_full(parsed)
    named = parsed.view_as(StandardOptions)
    if named.runner is None and any("direct_" in option for option in options):
        named.runner = FnApiRunner.__name__  # that these options are of; Beam would try another
    return parsed


@cache  # the same for each wave of a run, and a tenth of what a wave costs
def _check_options(options: tuple[str, ...]) -> None:
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed = PipelineOptions(list(options))
            name_in_full(parsed)
            known = parsed.get_all_options(drop_default=True)
            every = parsed.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit as error:  # argparse's way to refuse a value
        said = complaint.getvalue().rpartition("error: ")[2].strip()
        raise UsageError(f"Beam refuses the options after --: {said}") from error
    unknown = sorted(set(every) - set(known))
    if unknown and "runner" not in known:
        raise UsageError(f"Beam knows no option {', '.join(unknown)}", fields=["beam_options"])
    check_options(parsed)


def quiet_beam() -> None:
    """Beam's workers tell of every step, and tell of each error what the error itself says.

    At a step's end Beam waits for the thread that samples what the step is at, which by then
    sleeps for 200 ms at a time; here no longer than it takes to notice.
    """
    vars(statesampler.StateSampler)["__init__"].__defaults__ = (SAMPLING_MS,)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    vars(sdk_worker)["print"] = _say_nothing  # beside its log, where threads are workers


def _say_nothing(*_: object, **__: object) -> None:
    """The error itself comes back to whoever waits for the pipeline."""
