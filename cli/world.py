"""`qibox world`: a laboratory world with its pools, models and manifests."""

from pathlib import Path

import click

from qibox.cli.values import SEED


@click.command(short_help="Make a laboratory world, to try rules of choosing on.")
@click.argument("kind", type=click.Choice(["lab"]), default="lab")
@click.option(
    "--world", "seed", type=SEED, default=0, show_default=True, help="Which one: its seed."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory to make it in.  [default: worlds/lab-SEED]",
)
@click.option(
    "--kinship",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of the start policy's weak spots that its two relatives in the panel have too.",
)
@click.option(
    "--size",
    type=click.Choice(["full", "toy"]),
    default="full",
    show_default=True,
    help="full: 5,000 samples and 1,000 held out; toy: to try the commands on, in a minute.",
)
@click.option(
    "--judges",
    is_flag=True,
    help="Train two small judges of this world as well, half an hour of one core; they err.",
)
@click.option("--quiet", is_flag=True, help="Print no progress.")
def command(
    kind: str, seed: int, out: Path | None, kinship: float, size: str, judges: bool, quiet: bool
) -> None:
    """Make a world of its own: objects, dangers, wordings and pictures, all drawn from a seed.

    Its start policy knows some dangers surely, misses others surely and wavers on the rest, for it
    was never taught what it misses; so do two relatives of it and five strangers, the panel. The
    oracle judges every world; with --judges, two small models can as well. Stopped at any moment,
    the same command makes what is missing.

    \b
    Example: qibox world lab --world 3 --out worlds/lab-3
    """
    from qibox.cli import console
    from qibox.cli.progress import counting
    from qibox.laboratory.make import make, missing_models, open_folder
    from qibox.laboratory.plan import Plan

    plan = Plan(seed, kinship, size)
    folder = out or Path("worlds") / plan.world.name
    storage = open_folder(plan, str(folder))
    missing = missing_models(plan, storage, judges)
    if quiet or not missing:
        for _ in make(plan, storage, judges):
            pass
    else:
        with counting(f"models of {plan.world.name}", len(missing)) as advance:
            for name in make(plan, storage, judges):
                advance(1, name)
    if not quiet:
        run = f"runs/{plan.world.name}"
        console.err.print(
            f"qibox score --pool {folder}/pool.yaml --panel {folder}/panel.yaml --out {run}\n"
            f"qibox select {run} --random 240\n"
            f"qibox train {run} --recipe {folder}/recipe.yaml --steps 60\n"
            f"qibox eval {run} --suite {folder}/suite.yaml --start {folder}/models/policy"
            + (f"\nqibox judge {run} --judge {folder}/grm.yaml" if judges else ""),
            soft_wrap=True,
            highlight=False,
        )
