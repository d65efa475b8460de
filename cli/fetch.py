"""`qibox fetch`: weights from the hub, for this machine or for nodes without a network."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qibox.engines.needed import Needed, Size


@click.command(short_help="Fetch the weights of a panel, a judge or a recipe from the hub.")
@click.argument("models", nargs=-1, metavar="[OWNER/NAME[@REVISION]]...")
@click.option("--panel", "panels", multiple=True, help="Panel: a name or .yaml path.")
@click.option("--judge", "judges", multiple=True, help="Judge: a name or .yaml path.")
@click.option("--recipe", "recipes", multiple=True, help="Recipe: its policy and its judge.")
@click.option(
    "--to",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to fetch into, which other machines see or which is carried to them.  "
    "[default: this machine's hub cache]",
)
@click.option("--dry-run", is_flag=True, help="List what would be fetched with its size, and stop.")
def command(
    models: tuple[str, ...],
    panels: tuple[str, ...],
    judges: tuple[str, ...],
    recipes: tuple[str, ...],
    to: Path | None,
    dry_run: bool,
) -> None:
    """Fetch weights from the hub: safetensors, configuration and tokenizer; never code.

    What is there is not fetched again, and a fetch that was stopped goes on. On machines without a
    network the last line it prints lets every command find the weights.

    \b
    Example: qibox fetch --panel seven --judge grm --recipe safer-vlm-3b --to /shared/weights
    """
    from qibox.cli import console
    from qibox.engines.needed import sizes
    from qibox.errors import UsageError

    if not (models or panels or judges or recipes):
        raise UsageError(
            "nothing is named: give models (owner/name), --panel, --judge or --recipe, such as "
            "qibox fetch --panel seven --judge grm"
        )
    needed = _needed(models, panels, judges, recipes)
    if not needed:
        console.err.print("all weights are shipped or lie in directories: nothing to fetch")
        return
    found = list(sizes(needed, to))
    print_sizes(found)
    _check_room(found, to)
    if dry_run:
        return
    _fetch([each for each in found if each.count != 0], to)
    place = [] if to is None else [f"export HF_HUB_CACHE={to.resolve()}"]
    console.err.print("on machines without a network:")
    console.out.print("; ".join([*place, "export HF_HUB_OFFLINE=1"]), soft_wrap=True)


def _needed(
    models: tuple[str, ...],
    panels: tuple[str, ...],
    judges: tuple[str, ...],
    recipes: tuple[str, ...],
) -> "list[Needed]":
    from qibox.engines.needed import (
        each_once,
        needed_by_judges,
        needed_by_models,
        needed_by_name,
        needed_by_recipe,
    )
    from qibox.manifests import JudgeManifest, PanelManifest, RecipeManifest, load_manifest

    asked = [load_manifest(PanelManifest, name) for name in panels]
    found = [each for panel in asked for each in needed_by_models(panel.models.items())]
    found += needed_by_judges(load_manifest(JudgeManifest, name) for name in judges)
    for name in recipes:
        found += needed_by_recipe(load_manifest(RecipeManifest, name))
    found += [each for name in models for each in needed_by_name(name)]
    return each_once(found)


def print_sizes(found: "list[Size]") -> None:
    """Print a line for each model: for whom it is, and how much of it is still to come."""
    from rich.markup import escape
    from rich.table import Table

    from qibox.cli.console import out
    from qibox.scoring.space import size

    table = Table(title="weights from the hub", title_justify="left")
    for column in ("model", "for", "to fetch", ""):
        table.add_column(column, justify="right" if column == "to fetch" else "left")
    for each in found:
        bytes_, remark = ("?", "size not known") if each.count is None else (size(each.count), "")
        if each.count == 0:
            bytes_, remark = "", "here"
        elif each.count is not None:
            remark = "as the hub lists it" if each.listed else "published size, not checked"
        table.add_row(escape(each.needed.name), ", ".join(each.needed.users), bytes_, remark)
    out.print(table)
    total = sum(each.count or 0 for each in found)
    missing = sum(each.count != 0 for each in found)
    if missing:
        out.print(f"to fetch: {size(total)} for {missing} models", highlight=False)


def _check_room(found: "list[Size]", to: Path | None) -> None:
    """Refuse a fetch that the disk has no room for.

    Raises:
        QiboxError: how much is needed, how much is free, and what to do.
    """
    from huggingface_hub import constants

    from qibox.engines.hub import free_bytes
    from qibox.errors import QiboxError
    from qibox.scoring.space import size

    place = (to or Path(constants.HF_HUB_CACHE)).absolute()
    wanted, free = sum(each.count or 0 for each in found if each.listed), free_bytes(place)
    if wanted > free:
        raise QiboxError(
            f"{place} has {size(free)} free, and {size(wanted)} are to be fetched: give a larger "
            "disk with --to, or with HF_HOME"
        )


def _fetch(missing: "list[Size]", to: Path | None) -> None:
    """Fetch each; one that fails does not stop the others.

    Raises:
        QiboxError: some could not be fetched; each was said.
    """
    import sys

    from qibox import stopping
    from qibox.cli import console
    from qibox.engines.hub import fetch
    from qibox.errors import QiboxError

    failed = []
    for each in missing:
        one = each.needed
        try:
            commit = fetch(one.source, one.revision, to, show=sys.stderr.isatty())
        except QiboxError as error:
            if stopping.asked():
                raise
            failed.append(one.name)
            console.err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        else:
            console.err.print(f"{one.source} at commit {commit}", highlight=False, soft_wrap=True)
    if failed:
        raise QiboxError(
            f"{len(failed)} of {len(missing)} models could not be fetched: {', '.join(failed)}; "
            "the same command fetches what is missing"
        )
