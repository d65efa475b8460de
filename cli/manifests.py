"""`qibox manifests`: which pools, panels, judges, boxes, recipes, suites there are; prints one."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qibox.manifests.common import Manifest

KINDS = ("pools", "panels", "judges", "boxes", "recipes", "suites", "comparisons", "rephrasers")


@click.command(
    short_help="List the shipped pools, panels, judges, boxes, recipes and suites, or print one."
)
@click.argument("name", required=False)
@click.option("--kind", type=click.Choice(KINDS), help="Only manifests of this kind.")
def command(name: str | None, kind: str | None) -> None:
    """List the shipped manifests with a sentence on each, or print the one called NAME.

    A NAME that several kinds share (such as mini) prints each of them. NAME may also be the path of
    a .yaml file of your own, which is then checked: give its --kind. What could not be checked
    against its source is listed as `unverified` in the file.

    \b
    Example: qibox manifests
             qibox manifests beavertails-v
             qibox manifests my-pool.yaml --kind pools
    """
    from qibox.manifests.load import KINDS as FOLDERS

    kinds = [each for each, folder in FOLDERS.items() if kind in (None, folder)]
    if name is None:
        _list(kinds)
    elif name.endswith((".yaml", ".yml")):
        _check(kinds, name)
    else:
        _print(kinds, name)


def _list(kinds: list[type["Manifest"]]) -> None:
    from rich.table import Table

    from qibox.cli.console import out
    from qibox.manifests.load import KINDS as FOLDERS
    from qibox.manifests.load import list_manifests, load_manifest

    for kind in kinds:
        table = Table(title=FOLDERS[kind], title_justify="left", box=None, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name in list_manifests(kind):
            manifest = load_manifest(kind, name)
            doubt = f" [dim](unverified: {', '.join(manifest.unverified)})[/dim]"
            table.add_row(name, manifest.about + (doubt if manifest.unverified else ""))
        out.print(table)
        out.print()


def _print(kinds: list[type["Manifest"]], name: str) -> None:
    from rich.syntax import Syntax

    from qibox.cli.console import out
    from qibox.errors import UsageError
    from qibox.manifests.load import KINDS as FOLDERS
    from qibox.manifests.load import list_manifests, load_manifest, manifest_text

    found = [kind for kind in kinds if name in list_manifests(kind)]
    if not found:
        known = sorted({each for kind in kinds for each in list_manifests(kind)})
        raise UsageError(f"no manifest named '{name}': shipped ones are {', '.join(known)}")
    for kind in found:
        load_manifest(kind, name)
        text = f"# {FOLDERS[kind]}/{name}.yaml\n{manifest_text(kind, name)}"
        if out.is_terminal:
            out.print(Syntax(text, "yaml", background_color="default", word_wrap=True))
        else:
            click.echo(text)


def _check(kinds: list[type["Manifest"]], path: str) -> None:
    from qibox.errors import UsageError
    from qibox.manifests.load import KINDS as FOLDERS
    from qibox.manifests.load import load_manifest

    if len(kinds) > 1:
        raise UsageError(
            f"what {path} should be is not told: give --kind, one of {', '.join(KINDS)}"
        )
    manifest = load_manifest(kinds[0], path)
    click.echo(f"{path} is right: {FOLDERS[kinds[0]]}, '{manifest.name}', {manifest.about}")
