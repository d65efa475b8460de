"""What `qibox compare` is to do: a plan from a file and options, and what it will cost."""

import itertools
import shlex
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qibox.cli.commands import load_command
from qibox.errors import UsageError

if TYPE_CHECKING:
    from qibox.comparison.design import Replicate
    from qibox.manifests.comparison import ComparisonManifest
    from qibox.run.directory import Run

FRAME = '--stratify risk --quota "risk: implicit=50% explicit=25% none=25%"'
SELECTIONS = {
    "random": "--random {size}",
    "box": "--box mini --limit {size}",
    "frame": f"--random {{size}} {FRAME}",
    "unstable-in-frame": f"--u-min 0 --size {{size}} {FRAME}",
}
TRAININGS = {
    "turn": "--credit turn",
    "trajectory": "--credit trajectory",
    "recovery": "--credit recovery",
    "correction": "--credit correction",
    "plain": "--rollout plain",
    "discard": "--rollout discard",
    "scalar": "--reward scalar",
    "lagrangian": "--objective lagrangian --rollout plain",
}
OURS = ("--seed", "--name", "--selection", "--overwrite", "--dry-run")  # no arm's to give
STEPS, SEEDS = 60, 6
OWN = ("selections", "trainings", "seeds", "size", "name")  # options that no field is called after


def resolved_plan(file: str | None, options: dict[str, Any]) -> "ComparisonManifest":
    """The plan of a file, or of the arms that options name, with what options change in it.

    Raises:
        UsageError: neither or both, an arm that is not known, or options that do not hold.
    """
    from qibox.manifests.comparison import ComparisonManifest
    from qibox.manifests.load import load_manifest, parse_manifest

    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in options.items()
        if name not in OWN and value not in (None, ())
    }
    if options["name"] is not None:
        given["name"] = options["name"]
    if options["seeds"] is not None:
        given["seeds"] = list(range(options["seeds"]))
    if file is not None:
        for option in ("selections", "trainings", "size"):
            if options[option] is not None:
                raise UsageError(f"--{option} and {file} were both given: the plan has its arms")
        content = load_manifest(ComparisonManifest, file).model_dump(mode="json") | given
    else:
        content = _of_options(options, given)
    import yaml

    plan = parse_manifest(ComparisonManifest, yaml.safe_dump(content), file or "of these options")
    _check_words(plan)
    return plan


def _of_options(options: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A plan's fields from the arms that options name: each selection with each training."""
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest

    if options["selections"] is None and options["trainings"] is None:
        raise UsageError(
            "nothing to compare was named: give a PLAN.yaml, --selections such as "
            "random,box,frame or --trainings such as turn,plain"
        )
    chosen = _named(options["selections"] or "frame", SELECTIONS, "--selections")
    ways = _named(options["trainings"] or "turn", TRAININGS, "--trainings")
    steps = options["steps"] or STEPS
    recipe = load_manifest(RecipeManifest, options["recipe"] or "mini")
    size = options["size"] or steps * recipe.prompts_per_step
    arms = []
    for selection, training in itertools.product(chosen, ways):
        parts = [selection] * (len(chosen) > 1) + [training] * (len(ways) > 1)
        arms.append(
            {
                "name": "-".join(parts) or selection,
                "select": SELECTIONS[selection].format(size=size),
                "train": TRAININGS[training],
            }
        )
    return {
        "name": "-".join(arm["name"] for arm in arms)[:60].rstrip("-"),
        "about": "Arms by name, each with each seed.",
        "seeds": list(range(SEEDS)),
        "steps": steps,
        "arms": arms,
        **given,
    }


def _named(text: str, known: dict[str, str], option: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise UsageError(f"{option} names '{name}': there are {', '.join(known)}")
    return names


def _check_words(plan: "ComparisonManifest") -> None:
    """Read each arm's words as the commands will, before hours of training.

    Raises:
        UsageError: a command would refuse them.
    """
    import click

    for arm in plan.arms:
        for name, text in (("select", arm.select), ("train", arm.train)):
            sub = load_command(name)
            assert sub is not None, name
            words = shlex.split(text)
            given = [word for word in words if word.partition("=")[0] in OURS]
            if given:
                raise UsageError(
                    f"arm '{arm.name}': {given[0]} is given by the comparison itself: leave it out"
                )
            try:
                with sub.make_context(name, ["run", *words]):
                    pass
            except click.ClickException as error:
                raise UsageError(
                    f"arm '{arm.name}', {name} {text}: {error.format_message()}"
                ) from error


def last_step(plan: "ComparisonManifest") -> int:
    """The step after which the plan's trainings end."""
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest

    return plan.steps or load_manifest(RecipeManifest, plan.recipe).steps


def pool_names(plan: "ComparisonManifest", replicates: "Sequence[Replicate]") -> dict[str, str]:
    """What each held-out pool is called in tables, by what the plan calls it."""
    from qibox.comparison.replicates import pool_of
    from qibox.manifests.load import load_manifest
    from qibox.manifests.pool import PoolManifest

    pools = dict.fromkeys(pool_of(plan, replicate) for replicate in replicates)
    return {pool: load_manifest(PoolManifest, pool).name for pool in pools}


def print_plan(
    run: "Run",
    plan: "ComparisonManifest",
    replicates: "Sequence[Replicate]",
    runs: "dict[str, Run]",
    earlier: int = 0,
) -> None:
    """Print the plan as YAML, and as comments what it comes to beside the earlier replicates."""
    import yaml

    from qibox.cli import console

    content = plan.model_dump(mode="json", exclude_defaults=True)
    console.out.print(yaml.safe_dump(content, sort_keys=False), end="", soft_wrap=True)
    trainings = len(plan.arms) * len(replicates)
    notes = [
        *([f"{earlier} replicates are counted as they were kept elsewhere"] if earlier else []),
        f"{len(plan.arms)} arms × {len(replicates)} replicates: {trainings} trainings of "
        f"{last_step(plan):,} steps, {trainings * (len(plan.checkpoints) + 1)} policies evaluated",
        *([_cost(plan, replicates, runs)] if replicates else []),
        _power(run, plan, len(replicates) + earlier),
    ]
    for note in notes:
        console.out.print(f"# {note}", markup=False, highlight=False, soft_wrap=True)


def _cost(
    plan: "ComparisonManifest", replicates: "Sequence[Replicate]", runs: "dict[str, Run]"
) -> str:
    """Hours of all trainings one after the other, measured; by a short one where there is none."""
    from qibox.cli.compare_work import probe
    from qibox.comparison.cost import cost_of
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest

    recipe = load_manifest(RecipeManifest, plan.recipe).name
    cost = cost_of(runs.values(), recipe)
    where = "in what was trained so far"
    if cost is None:
        with probe(plan, replicates[0], runs):
            cost, where = cost_of(runs.values(), recipe), "in a short training, which is gone again"
    if cost is None:
        return "hours: a short training measured nothing"
    hours = cost.hours(len(plan.arms) * len(replicates), last_step(plan))
    return (
        f"about {hours:.2g} h of training, one after the other and evaluation apart: "
        f"{cost.step:.2g} s a step and {cost.start:.0f} s to begin, {where}"
    )


def _power(run: "Run", plan: "ComparisonManifest", planned: int) -> str:
    """The smallest difference so many replicates can find, by the spread found so far."""
    from qibox.comparison.design import comparison_path
    from qibox.comparison.kept import COMPARISONS_FILE
    from qibox.comparison.statistics import LEAST_REPLICATES, smallest_effect

    if planned < LEAST_REPLICATES:
        return (
            f"with {planned} of at least {LEAST_REPLICATES} replicates nothing can be significant"
        )
    file = comparison_path(plan.name, COMPARISONS_FILE)
    rows = run.storage.read_table(file).to_pylist() if run.storage.exists(file) else []
    spreads = [r["spread"] for r in rows if r["role"] == "primary" and r["spread"] is not None]
    measured = bool(spreads)
    spread = statistics.median(spreads) if measured else SPREAD
    where = "found so far" if measured else "of the miniature world's trials, until some is found"
    return (
        f"{planned} replicates find a difference of {100 * smallest_effect(spread, planned):.1f} "
        f"points four times out of five, at a spread of differences of {100 * spread:.1f} points "
        f"({where})"
    )


SPREAD = 0.045 * 2**0.5  # of differences: 4.5 points between seeds, arms uncorrelated
