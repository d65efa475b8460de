"""What `qibox doctor --recipe` prints: the memory of a training, part by part."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qibox.doctor.memory import Setting
    from qibox.doctor.shape import Shape
    from qibox.manifests.recipe import RecipeManifest

WIDTH = 18  # of the parts' names
COLUMN = 14


def recipe_lines(
    shape: "Shape", recipe: "RecipeManifest", setting: "Setting", of_card: str
) -> Iterator[str]:
    """Tell what each card needs: one alone, and with several the weights whole or shared."""
    from qibox.doctor.memory import GIB, SPARE, need, trained_parameters
    from qibox.doctor.remedies import enough_cards, remedies, vllm_too_small

    columns = dict(arrangements(setting))
    needs = {name: need(shape, recipe, where) for name, where in columns.items()}
    parts = {part.name: part for found in needs.values() for part in found.parts}
    learning = trained_parameters(shape, recipe)
    yield f"{recipe.policy}: {shape.parameters:,} weights, {learning:,} of them learn"
    yield _row("GiB a card", list(columns), f"of {of_card}")
    for name, part in parts.items():
        sizes = [
            next((each.size for each in found.parts if each.name == name), None)
            for found in needs.values()
        ]
        yield _row(name, [_gib(size) for size in sizes], part.how.split(" / ")[0])
    yield _row("while drawing", [_gib(found.drawing) for found in needs.values()], "sum")
    yield _row("while learning", [_gib(found.learning) for found in needs.values()], "sum")
    verdicts = ["yes" if found.fits(setting.card_gib) else "no" for found in needs.values()]
    yield _row("fits", verdicts, f"within {1 - SPARE:.0%} of {setting.card_gib:g} GiB")
    small = vllm_too_small(shape, recipe, setting)
    if small:
        yield small
    yield from _judge_lines(recipe)
    name, where = list(columns.items())[-1]
    found = remedies(shape, recipe, where)
    if needs[name].fits(setting.card_gib):
        return
    yield f"to change, for {name}, each on top of those before it:"
    for each in found:
        fits = "fits" if each.fits else "does not fit"
        yield f"  {each.change}: {each.saved / GIB:.1f} less, {each.left.most / GIB:.1f}: {fits}"
    if not found or not found[-1].fits:
        yield "  nothing more is known that helps: larger cards, a smaller policy or fewer tokens"
    cards = enough_cards(shape, recipe, where)
    if cards is not None and cards > where.processes:
        yield f"or {cards} cards that share the weights by FSDP, and nothing else changed"


def arrangements(setting: "Setting") -> Iterator[tuple[str, "Setting"]]:
    """The columns: one process; with several, each with all weights, and sharing them."""
    from dataclasses import replace

    yield "1 process", replace(setting, processes=1, sharded=False)
    if setting.processes > 1:
        yield f"{setting.processes}, whole", replace(setting, sharded=False)
        yield f"{setting.processes}, FSDP", replace(setting, sharded=True)


def _judge_lines(recipe: "RecipeManifest") -> Iterator[str]:
    """Where a judge that vLLM runs would be."""
    from qibox.manifests.judge import JudgeManifest
    from qibox.manifests.load import load_manifest

    if recipe.judge is None:
        return
    model = load_manifest(JudgeManifest, recipe.judge).model
    if model is not None and model.engine in ("auto", "vllm"):
        size = "" if model.size_b is None else f", {2 * model.size_b:.0f} GB of weights in bf16,"
        yield (
            f"judge {recipe.judge}{size} is none of this: vLLM runs it on cards of its own "
            "(judge_gpus), or `qibox serve` elsewhere (--judge-at)"
        )


def _row(name: str, values: list[str], how: str) -> str:
    return f"{name:<{WIDTH}}" + "".join(f"{value:>{COLUMN}}" for value in values) + f"  {how}"


def _gib(size: float | None) -> str:
    from qibox.doctor.memory import GIB

    return "–" if size is None else f"{size / GIB:.1f}"
