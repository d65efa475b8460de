"""What to change in a recipe that does not fit, what changes least of what is learned first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from qibox.doctor.memory import GIB, Need, Setting, need, vllm_minimum
from qibox.doctor.shape import Shape
from qibox.manifests.recipe import Lora, RecipeManifest

Change = Callable[[RecipeManifest, Setting], tuple[RecipeManifest, Setting]]
RANK = 16  # of the adapters that are proposed
CARDS = (2, 4, 8, 16)


@dataclass(frozen=True)
class Remedy:
    """One change, made after those before it."""

    change: str
    saved: float  # bytes
    left: Need  # what is needed then
    fits: bool


def remedies(shape: Shape, recipe: RecipeManifest, setting: Setting) -> list[Remedy]:
    """List changes for the cards that are there, each saving something, until it fits.

    The last one fits, or nothing that is known helps. Those that leave what is learned as it is
    come first, then fewer bits, then adapters, which are another training.
    """
    now, found = need(shape, recipe, setting), list[Remedy]()
    for text, change in _changes(recipe, setting):
        if now.fits(setting.card_gib):
            break
        changed, elsewhere = change(recipe, setting)
        then = need(shape, changed, elsewhere)
        if then.most < now.most:
            found.append(Remedy(text, now.most - then.most, then, then.fits(setting.card_gib)))
            recipe, setting, now = changed, elsewhere, then
    return found


def enough_cards(shape: Shape, recipe: RecipeManifest, setting: Setting) -> int | None:
    """How many cards that share the weights would do with nothing else changed; None: too many."""
    for cards in CARDS:
        if cards >= setting.processes:
            shared = replace(setting, processes=cards, sharded=True)
            if need(shape, recipe, shared).fits(setting.card_gib):
                return cards
    return None


def vllm_too_small(shape: Shape, recipe: RecipeManifest, setting: Setting) -> str | None:
    """What vLLM's share must be, where it is too small for the weights; None where it is not."""
    wanted = vllm_minimum(shape, recipe, setting)
    if not recipe.use_vllm or wanted <= recipe.vllm.gpu_memory_utilization * setting.card_gib * GIB:
        return None
    share = wanted / GIB / setting.card_gib
    return (
        f"vLLM needs {wanted / GIB:.1f} GiB for its own copy of the weights and one rollout: set "
        f"vllm.gpu_memory_utilization to {share + 0.005:.2f} or more"
    )


def _changes(recipe: RecipeManifest, setting: Setting) -> Iterator[tuple[str, Change]]:
    if setting.judge_bytes:
        yield (
            "ask the judge elsewhere (judge_at)",
            lambda r, s: (r, replace(s, judge_bytes=0.0)),
        )
    yield "gradient_checkpointing: true", _with(gradient_checkpointing=True)
    at_once = recipe.rollouts_per_device or 1 << 30
    if at_once > 1:
        yield "rollouts_per_device: 1", _with(rollouts_per_device=1)
    yield "vllm.enable_sleep_mode: true", _sleeping
    if setting.processes > 1 and not setting.sharded:
        yield "share the weights by FSDP (accelerate_config)", _sharing
    yield "optimizer: adamw_8bit (never run here, for want of a GPU)", _with(optimizer="adamw_8bit")
    yield f"lora.rank: {RANK}", _adapted
    yield "lora.frozen: bfloat16", _frozen


def _with(**values: object) -> Change:
    return lambda recipe, setting: (recipe.model_copy(update=values), setting)


def _sharing(recipe: RecipeManifest, setting: Setting) -> tuple[RecipeManifest, Setting]:
    return recipe, replace(setting, sharded=True)


def _sleeping(recipe: RecipeManifest, setting: Setting) -> tuple[RecipeManifest, Setting]:
    vllm = recipe.vllm.model_copy(update={"enable_sleep_mode": True})
    return recipe.model_copy(update={"vllm": vllm}), setting


def _adapted(recipe: RecipeManifest, setting: Setting) -> tuple[RecipeManifest, Setting]:
    return recipe.model_copy(update={"lora": recipe.lora or Lora(rank=RANK)}), setting


def _frozen(recipe: RecipeManifest, setting: Setting) -> tuple[RecipeManifest, Setting]:
    lora = (recipe.lora or Lora(rank=RANK)).model_copy(update={"frozen": "bfloat16"})
    return recipe.model_copy(update={"lora": lora}), setting
