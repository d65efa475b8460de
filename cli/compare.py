"""`qibox compare`: arms trained under the same draws, and what differs between them."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.values import COUNT, STEPS
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    import pyarrow as pa

    from qibox.comparison.design import Replicate
    from qibox.manifests.comparison import ComparisonManifest
    from qibox.run.directory import Run

FLAGS = {"name": "--name"}


@click.command(short_help="Train arms under the same draws and compare them, with intervals.")
@click.argument("arguments", nargs=-1, metavar="[RUN] [PLAN.yaml]")
@click.option(
    "--selections",
    metavar="NAMES",
    help="Arms without a plan: random, box, frame, unstable-in-frame, with commas between.",
)
@click.option(
    "--trainings",
    metavar="NAMES",
    help="Likewise: turn, trajectory, recovery, correction, plain, discard, scalar, lagrangian; "
    "each with each selection.  [default: turn]",
)
@click.option("--seeds", type=COUNT, metavar="N", help="Replicates: seeds 0 to N - 1, a world.")
@click.option("--steps", type=STEPS, help="Of each training.  [default: 60]")
@click.option("--size", type=COUNT, help="Of each selection.  [default: a training's prompts]")
@click.option(
    "--checkpoint",
    "checkpoints",
    type=COUNT,
    multiple=True,
    help="Step before the last to evaluate as well; may be repeated.",
)
@click.option("--recipe", help="Recipe's name, or a .yaml path.  [default: mini]")
@click.option("--pool", help="Held-out pool's name, or a .yaml path.  [default: mini-heldout]")
@click.option("--limit", type=COUNT, help="Its first N samples only.  [default: 300]")
@click.option(
    "--judge", "judges", multiple=True, help="Judge of the evaluation; the first decides."
)
@click.option(
    "--last-judge", "last_judges", multiple=True, help="Judge that is asked of the last step alone."
)
@click.option("--against", multiple=True, help="Arm that others must beat.  [default: the first]")
@click.option("--name", help="Name of the comparison.  [default: the plan's, or the arms']")
@click.option(
    "--preregister",
    metavar="FILE",
    help="YAML that says, before the first training: hypotheses, rule, replicates, exclusions, "
    "analysis.",
)
@click.option(
    "--earlier",
    metavar="DIR",
    multiple=True,
    help="Folder of the same comparison in another run, such as RUN/comparisons/NAME: its whole "
    "replicates are counted and not trained again; may be repeated.",
)
@click.option(
    "--workers", type=COUNT, help="Trainings at a time.  [default: as cores or GPUs allow]"
)
@click.option(
    "--plan", "only_plan", is_flag=True, help="Print arms, cost and smallest effect, and stop."
)
@click.option("--report", "only_report", is_flag=True, help="Report what is there; train nothing.")
def command(
    arguments: tuple[str, ...],
    preregister: str | None,
    earlier: tuple[str, ...],
    only_plan: bool,
    only_report: bool,
    **options: Any,
) -> None:
    """Compare selection rules and ways of training, replicate by replicate.

    Every arm chooses samples of RUN, trains on them and is evaluated, once a seed; all arms of a
    seed share start weights, held-out samples and noise, and are compared within it. Selections,
    policies and evaluations land in RUN as `qibox select`, `train` and `eval` leave them; tables,
    figure and report in RUN/comparisons/NAME. Stopped at any moment, the same command goes on.

    \b
    Examples:
      qibox compare --selections random,box,frame --seeds 6
      qibox compare runs/mini plan.yaml --plan
    """
    from qibox.cli import console
    from qibox.cli.compare_plan import last_step, print_plan, resolved_plan
    from qibox.cli.compare_work import work_off
    from qibox.comparison.design import replicates_of
    from qibox.comparison.earlier import missing, read_earlier
    from qibox.comparison.kept import claim
    from qibox.comparison.registration import read_statement, register
    from qibox.run.directory import Run

    run, file = split_arguments(arguments)
    opened = Run.open(run)
    plan = resolved_plan(file, options)
    every = replicates_of(plan, run)
    finished = read_earlier(plan, earlier, last_step(plan))
    replicates = missing(every, finished)
    runs = {each.world.run: Run.open(each.world.run) for each in replicates}
    if only_plan:
        print_plan(opened, plan, replicates, runs, len(every) - len(replicates))
        return
    if not only_report:
        claim(opened, plan)
        if preregister is not None:
            begun = any(trained(runs, replicates, plan))
            statement = read_statement(preregister)
            register(opened.storage, plan, statement, len(every), begun=begun)
        work_off(opened, plan, replicates, runs, finished)
    text = results(opened, plan, replicates, runs, finished)
    console.out.print(text, markup=False, highlight=False, soft_wrap=True)
    console.err.print(f"tables and figure in {run}/comparisons/{plan.name}", soft_wrap=True)


def split_arguments(arguments: tuple[str, ...]) -> tuple[str, str | None]:
    """Tell RUN from PLAN.yaml, which ends so.

    Raises:
        UsageError: more than one of either.
    """
    from qibox.errors import UsageError

    files = [each for each in arguments if each.endswith((".yaml", ".yml"))]
    runs = [each for each in arguments if each not in files]
    if len(files) > 1 or len(runs) > 1:
        raise UsageError(
            f"{' '.join(arguments)}: give one RUN and one PLAN.yaml at most, in any order"
        )
    return (runs[0] if runs else DEFAULT_RUN), (files[0] if files else None)


def trained(
    runs: "dict[str, Run]", replicates: "list[Replicate]", plan: "ComparisonManifest"
) -> list[str]:
    """The policies of the comparison that are trained to their end."""
    from qibox.comparison.design import trials_of
    from qibox.run.finished import policy_names

    there = {world: set(policy_names(run.storage)) for world, run in runs.items()}
    return [
        trial.name
        for replicate in replicates
        for trial in trials_of(plan, replicate)
        if trial.name in there[replicate.world.run]
    ]


def results(
    opened: "Run",
    plan: "ComparisonManifest",
    replicates: "list[Replicate]",
    runs: "dict[str, Run]",
    earlier: "pa.Table",
) -> str:
    """Write what there is so far; the report."""
    from qibox.cli.compare_plan import last_step, pool_names
    from qibox.comparison.kept import keep_results

    names = pool_names(plan, replicates)
    return keep_results(opened, plan, replicates, runs, names, last_step(plan), earlier)[1]
