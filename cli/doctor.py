"""`qibox doctor`: what this machine can run, and how to mend what it cannot."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from qibox.doctor.machine import Machine
    from qibox.manifests.panel import ModelSpec
    from qibox.manifests.recipe import RecipeManifest


@click.command(short_help="What this machine can run, and how to mend what it cannot.")
@click.option("--panel", default="mini", show_default=True, help="Panel to check: a name or .yaml.")
@click.option("--judge", help="Judge whose model to check too: a name or .yaml.")
@click.option("--recipe", help="Recipe whose training to add up instead: a name or .yaml.")
@click.option("--processes", type=click.IntRange(min=1), help="With --recipe: cards that train.")
@click.option("--gpu-gib", type=click.FloatRange(min=1), help="With --recipe: memory of a card.")
@click.option("--lora", type=click.IntRange(min=1), help="With --recipe: rank of adapters.")
@click.option(
    "--prompt-tokens",
    type=click.IntRange(min=1),
    help="With --recipe: tokens of the longest prompt, its picture's included.  [default: the "
    "recipe's limit, or 1536]",
)
def command(
    panel: str,
    judge: str | None,
    recipe: str | None,
    processes: int | None,
    gpu_gib: float | None,
    lora: int | None,
    prompt_tokens: int | None,
) -> None:
    """Show GPUs, memory, disk, packages and what clashes, then which models of a panel fit.

    With --recipe: what its training needs of each card, part by part, and what to change where that
    is too much. Nothing is loaded or downloaded; an endpoint's address is tried for three seconds.

    \b
    Example: qibox doctor --panel seven --judge grm
    Example: qibox doctor --recipe safer-vlm-3b --processes 8 --gpu-gib 80
    """
    if recipe is not None:
        _show_recipe(recipe, lora, processes, gpu_gib, prompt_tokens)
    else:
        _show_panel(panel, judge)


def _show_recipe(
    name: str,
    lora: int | None,
    processes: int | None,
    gpu_gib: float | None,
    prompt_tokens: int | None,
) -> None:
    """Add up a recipe's training for the cards that are visible, or are said to be.

    Raises:
        UsageError: the policy's configuration is neither known nor on this machine.
    """
    from qibox.cli.console import out
    from qibox.cli.doctor_recipe import recipe_lines
    from qibox.cli.recipe_options import overridden
    from qibox.doctor.machine import GB, look
    from qibox.doctor.memory import GIB, Setting
    from qibox.doctor.shape import policy_shape
    from qibox.engines.sources import local_directory
    from qibox.errors import UsageError
    from qibox.manifests.load import load_manifest
    from qibox.manifests.recipe import RecipeManifest

    recipe = overridden(load_manifest(RecipeManifest, name), {"lora": lora})
    shape = policy_shape(recipe.policy, local_directory(recipe.policy))
    if shape is None:
        raise UsageError(
            f"the sizes of {recipe.policy} are not known: its configuration is not on this machine"
        )
    cards = look().gpus
    seen = min((card.memory_gb * GB / GIB for card in cards), default=None)
    card = gpu_gib or seen or Setting.card_gib
    setting = Setting(
        processes=processes or max(1, len(cards)),
        card_gib=card,
        prompt_tokens=prompt_tokens,
        judge_bytes=local_judge_bytes(recipe),
    )
    told = f"{card:.4g} GiB" + (", assumed: no card is visible" if not (gpu_gib or seen) else "")
    for line in recipe_lines(shape, recipe, setting, told):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def local_judge_bytes(recipe: "RecipeManifest") -> float:
    """Bytes of a judge that transformers loads where the training is; 0 without one."""
    from qibox.doctor.fit import BYTES, WORKSPACE
    from qibox.doctor.machine import GB
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.load import load_manifest

    model = None if recipe.judge is None else load_manifest(JudgeManifest, recipe.judge).model
    if model is None or model.engine != "transformers" or model.size_b is None:
        return 0.0
    width = BYTES.get(str(model.settings.get("dtype")), BYTES["bfloat16"])
    return model.size_b * GB * width * WORKSPACE


def _show_panel(panel: str, judge: str | None) -> None:
    """Show this machine and which models of a panel, and a judge's, fit it."""
    from rich.markup import escape

    from qibox.cli.console import out
    from qibox.doctor.machine import clashes, look
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.load import load_manifest
    from qibox.manifests.panel import PanelManifest

    models = dict(load_manifest(PanelManifest, panel).models)
    if judge is not None:
        chosen = load_manifest(JudgeManifest, judge)
        if chosen.model is not None:
            models[f"judge {chosen.name}"] = chosen.model
    machine = look()
    _show_machine(machine)
    found = clashes(machine)
    for clash in found:
        out.print(f"[red]✗[/red] {escape(clash)}", highlight=False)
    if not found:
        out.print("[green]✓[/green] installed versions go together")
    options = f"--panel {panel}" + (f" --judge {judge}" if judge is not None else "")
    _show_models(panel, models, machine, options)


def _show_machine(machine: "Machine") -> None:
    from rich.table import Table

    from qibox.cli.console import out

    table = Table(title="This machine", title_justify="left", box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for gpu in machine.gpus:
        memory = f"{gpu.free_gb:.0f} of {gpu.memory_gb:.0f} GB free"
        table.add_row("GPU", f"{gpu.name}, {memory}, driver {gpu.driver}")
    if not machine.gpus:
        table.add_row("GPU", "none found: engine auto means transformers, on the processor")
    table.add_row("processor", f"{machine.cores} cores, Python {machine.python}")
    table.add_row("memory", f"{machine.available_gb:.0f} of {machine.memory_gb:.0f} GB free")
    table.add_row("disk", f"{machine.disk_free_gb:.0f} GB free where weights are kept")
    for name, version in machine.packages.items():
        table.add_row(name, version or "[dim]not installed[/dim]")
    out.print(table)


def _show_models(
    panel: str, models: dict[str, "ModelSpec"], machine: "Machine", options: str
) -> None:
    from rich.markup import escape
    from rich.table import Table

    from qibox.cli.console import out
    from qibox.doctor.fit import fit, gigabytes

    table = Table(title=f"Panel {panel}", title_justify="left", box=None)
    for column in ("model", "engine", "fits", "needs here", "on GPUs", "to fetch", "fix"):
        table.add_column(column, no_wrap=column == "model", overflow="fold")
    verdicts = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "[yellow]?[/yellow]"}
    to_fetch: dict[str, float | None] = {}  # by source: two may share their weights
    for name, spec in models.items():
        found = fit(name, spec, machine)
        disk = "?" if found.download_gb is None else gigabytes(found.download_gb)
        row = [name, found.engine, verdicts[found.fits], found.needs, found.gpu]
        table.add_row(*row, disk if found.download_gb != 0 else "", escape(found.fix))
        if found.download_gb != 0:
            to_fetch[spec.source] = found.download_gb
    out.print(table)
    if to_fetch:
        _show_fetching(to_fetch, machine.disk_free_gb, options)


def _show_fetching(to_fetch: dict[str, float | None], free_gb: float, options: str) -> None:
    """What all weights that are not here take together, and whether there is room for them."""
    from qibox.cli.console import out
    from qibox.doctor.fit import gigabytes

    total = sum(size or 0 for size in to_fetch.values())
    unknown = sum(size is None for size in to_fetch.values())
    more = f", and {unknown} of unknown size" if unknown else ""
    room = "" if total <= free_gb else ": set HF_HOME to a larger disk"
    out.print(
        f"to fetch: {gigabytes(total)} for {len(to_fetch)} models{more} (published sizes, not "
        f"checked); {gigabytes(free_gb)} free where weights are kept{room}\n"
        f"`qibox fetch {options}` brings them, also into a folder for machines without a network",
        highlight=False,
        soft_wrap=True,
    )
