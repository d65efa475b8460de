"""`qibox plan`: what a whole job would take, measured on a few of its samples."""

import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qibox.cli.job_options import job_options
from qibox.cli.score import FLAGS as FLAGS
from qibox.cli.values import COUNT
from qibox.importing import importing

if TYPE_CHECKING:
    from qibox.forecast.answers import Answered, Yield
    from qibox.forecast.whole import Job
    from qibox.run.directory import Run, RunManifest
    from qibox.selection.request import Request


@dataclass(frozen=True)
class Told:
    """What a probe came to."""

    job: "Job"
    drawn: int  # samples
    models: "list[Answered]"
    judges: "list[Answered]"
    disk: int  # bytes of the whole job
    box: "Yield | None"
    budget: float | None


@click.command(short_help="Ask a few samples, and say what the whole job would take.")
@click.argument("run", required=False)
@job_options
@click.option("--probe", type=COUNT, default=50, show_default=True, help="Samples to ask.")
@click.option("--gpus", type=COUNT, help="For so many GPUs, of which as many copies run as fit.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="Hours to stay within.")
@click.option("--q-band", nargs=2, type=float, metavar="LO HI", help="Band on quality of the box.")
@click.option("--u-min", type=float, metavar="X", help="Minimum of instability of the box.")
@click.option("--box", help="Box's name or .yaml path.  [default: mini, on the miniature pool]")
@click.option("--trust-remote-code", is_flag=True, help="Let models run code of their own.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.pass_context
def command(ctx: click.Context, /, run: str | None, **options: Any) -> None:
    """Ask samples drawn at random what `qibox score` would ask, and count what all would take.

    Of RUN, or of the job that the options describe as those of `qibox score` do: hours a model and
    a judge, on this machine or with so many GPUs, tokens, disk, the share of answers that will be
    cut off or fail, how many samples the box will let through, with its 95 % interval; and which K
    or which models lead below a budget of hours. A model's start is told from its work, so
    few samples do; with vLLM give some hundreds, as it is faster with more at once.

    What is asked here is not kept. The pool is read as a whole, unless RUN has read it.

    \b
    Examples:
      qibox plan --probe 20
      qibox plan --pool spa-vl --panel seven --judge grm --probe 200 --gpus 8 --budget 24
      qibox plan runs/mini --probe 30 --q-band 4 8 --u-min 1.5
    """
    began = time.monotonic()
    with importing():
        from qibox.cli.plan_tables import print_plan

    manifest = _manifest(ctx, run, options)
    with tempfile.TemporaryDirectory(prefix="qibox-plan-") as folder:
        print_plan(_probed(run, manifest, folder, options, began))


def _manifest(ctx: click.Context, run: str | None, options: dict[str, Any]) -> "RunManifest":
    """What the whole job is.

    Raises:
        UsageError: a run, and options of another job beside it.
    """
    from qibox.cli.score import run_manifest
    from qibox.errors import UsageError
    from qibox.run.directory import Run

    if run is None:
        return run_manifest(options)
    job = {param.name: param for param in ctx.command.params if isinstance(param, click.Option)}
    own = ("probe", "gpus", "budget", "q_band", "u_min", "box", "trust_remote_code", "quiet")
    for name, option in job.items():
        given = ctx.get_parameter_source(str(name)) == click.core.ParameterSource.COMMANDLINE
        if given and name not in own:
            raise UsageError(
                f"{run} is a run of its own pool, panel and judges: leave out {option.opts[0]}, or "
                "leave out the run"
            )
    return Run.open(run).manifest


def _probed(
    url: str | None, manifest: "RunManifest", folder: str, options: dict[str, Any], began: float
) -> Told:
    """Draw, ask, judge and score; then count."""
    from qibox.cli.wave_progress import ConsoleWatcher
    from qibox.forecast import answers, probe, whole
    from qibox.forecast.stopwatch import Stopwatch
    from qibox.pipelines.run import Settings, work_off
    from qibox.run.storage import Storage
    from qibox.scoring.plan import Job
    from qibox.scoring.resolve import places_of

    watch = Stopwatch(ConsoleWatcher(quiet=options["quiet"]))
    run = _with_pool(url, manifest, folder, watch)
    request = _request(run, options)
    drawing = time.monotonic()
    drawn = probe.draw(run, options["probe"])
    asked, index = probe.write_probe(Storage(f"{folder}/probe"), run, drawn)
    drawing = time.monotonic() - drawing
    work_off(
        asked.storage,
        lambda: [Job(asked, index, places=places_of(manifest))],
        watch,
        Settings((), options["trust_remote_code"]),
    )
    start_s = time.monotonic() - began - drawing - watch.turns_s  # reading the pool included
    samples, panel = _samples(run), run.manifest.panel
    models, judges = answers.answered(asked)
    job = whole.Job(
        steps=tuple(watch.steps),
        samples=samples,
        responses=panel.sampling.samples,
        models=tuple(panel.models),
        start_s=start_s,
        gpus=options["gpus"],
    )
    return Told(
        job=job,
        drawn=len(drawn),
        models=models,
        judges=judges,
        disk=round(answers.bytes_of(asked) * samples / len(drawn)),
        box=None if request is None else answers.box_yield(asked, request, samples),
        budget=options["budget"],
    )


def _samples(run: "Run") -> int:
    index = run.pool_index()
    assert index is not None, "it was read"
    return index.samples


def _with_pool(url: str | None, manifest: "RunManifest", folder: str, watch: Any) -> "Run":
    """The run whose pool has been read; read into the folder where it has not."""
    from qibox.run.directory import Run
    from qibox.run.storage import Storage
    from qibox.scoring.opening import open_pool

    if url is not None and (run := Run.open(url)).pool_index() is not None:
        return run
    made = Run.create(Storage(f"{folder}/pool"), manifest)
    open_pool(made, watch)
    return made


def _request(run: "Run", options: dict[str, Any]) -> "Request | None":
    """The box to count by; None where none was named and the pool has none of its own."""
    from qibox.cli.select_request import BOX_OPTIONS, make_box
    from qibox.selection.request import by_box

    chosen = {name: options.get(name) for name in BOX_OPTIONS}
    if run.manifest.pool.name != "mini" and not any(v is not None for v in chosen.values()):
        return None
    return by_box(make_box(chosen, run))
