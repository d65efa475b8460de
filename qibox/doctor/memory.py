"""What a training asks of each card, part by part, before anything is loaded.

Two moments are added up, for what is needed is the larger: while rollouts are drawn, and while they
are learned from. Read from TRL 1.16, accelerate 1.15 and torch 2.13:

- Whole logits (rollouts × tokens × vocabulary) are never held. TRL's output layer works through
  tiles of 4,096 tokens × 32,768 words, forward and backward, and keeps a log probability and an
  entropy a token.
- Under autocast a weight's bf16 copy is kept until the forward pass has ended.
- Several processes without sharding hold each gradient twice: DDP's buckets are copies.
- What autograd keeps of a layer was counted on a small model (tests/doctor/test_memory.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from qibox.doctor.shape import Shape
from qibox.manifests.recipe import RecipeManifest

GIB = float(2**30)
FLOAT, HALF = 4, 2  # bytes
TILE_TOKENS, TILE_WORDS = 4096, 32_768  # of TRL's output layer
MOMENTS = {"adamw": 8.0, "adamw_8bit": 2 * (1 + 4 / 256)}  # bytes; a float32 scale a 256 of 8 bits
CONTEXT = GIB  # CUDA's context, kernels and their workspaces: our choice
SPARE = 0.05  # of a card, lost between allocations: our choice
UNLIMITED = 1536  # tokens of the longest prompt where the recipe sets no limit: our choice


@dataclass(frozen=True)
class Setting:
    """Where, and on what, a recipe is trained."""

    processes: int = 1  # a card each
    sharded: bool = False  # FSDP, or DeepSpeed's third stage
    card_gib: float = 80.0
    prompt_tokens: int | None = None  # of the longest prompt, its picture's too; None: the recipe's
    judge_bytes: float = 0.0  # of a judge that is loaded on the first card


@dataclass(frozen=True)
class Part:
    """Bytes that one thing takes of a card, and how they come about."""

    name: str
    size: float
    how: str
    drawing: bool = True  # there while rollouts are drawn
    learning: bool = True  # there in forward and backward passes and the optimiser's step


@dataclass(frozen=True)
class Need:
    """All parts of one card."""

    parts: tuple[Part, ...]

    @property
    def drawing(self) -> float:
        """Bytes while rollouts are drawn."""
        return sum(part.size for part in self.parts if part.drawing)

    @property
    def learning(self) -> float:
        """Bytes while they are learned from."""
        return sum(part.size for part in self.parts if part.learning)

    @property
    def most(self) -> float:
        """Bytes that must be there."""
        return max(self.drawing, self.learning)

    def fits(self, card_gib: float) -> bool:
        """Whether a card of so many GiB has room for it, and a little to spare."""
        return self.most <= card_gib * GIB * (1 - SPARE)


def need(shape: Shape, recipe: RecipeManifest, setting: Setting) -> Need:
    """Add up what one card needs; sizes of things that vary are those of the longest rollouts."""
    parts = (
        *_state(shape, recipe, setting),
        *_passes(shape, recipe, setting),
        *_rollouts(shape, recipe, setting),
        Part("judge", setting.judge_bytes, "of the first card: its weights and a fifth more"),
        Part("CUDA", CONTEXT, "context and workspaces: our choice"),
    )
    return Need(tuple(part for part in parts if part.size > 0))


def trained_parameters(shape: Shape, recipe: RecipeManifest) -> int:
    """Weights that learn."""
    if recipe.lora is None:
        return shape.parameters
    return shape.adapter_parameters(recipe.lora.rank, recipe.lora.targets)


def written_tokens(recipe: RecipeManifest) -> int:
    """The most tokens that follow a prompt."""
    rollout = recipe.rollout
    if rollout.unsafe != "reflect":
        return rollout.max_draft_tokens
    return 2 * rollout.max_draft_tokens + rollout.max_reflection_tokens


def longest_prompt(recipe: RecipeManifest, setting: Setting) -> int:
    """Tokens of the longest prompt, its picture's included."""
    return setting.prompt_tokens or recipe.max_prompt_tokens or UNLIMITED


def longest_rollout(recipe: RecipeManifest, setting: Setting) -> int:
    """Tokens of the longest prompt and the most that follow it."""
    return longest_prompt(recipe, setting) + written_tokens(recipe)


def picture_patches(shape: Shape, recipe: RecipeManifest, setting: Setting) -> int:
    """Patches of the largest picture: by the recipe's limit of pixels, else a whole prompt's."""
    whole = longest_prompt(recipe, setting) * shape.patches_per_token
    if recipe.max_pixels is None:
        return whole
    return min(whole, -(-recipe.max_pixels // shape.patch**2))


def drawn_together(recipe: RecipeManifest, processes: int) -> int:
    """Rollouts that one process draws at the same time."""
    return -(-recipe.prompts_per_step * recipe.samples_per_prompt // processes)


def _state(shape: Shape, recipe: RecipeManifest, setting: Setting) -> Iterator[Part]:
    """Weights and what the optimiser keeps of each."""
    among = setting.processes if setting.sharded else 1
    shared = f" / {among}" if among > 1 else ""
    learning = trained_parameters(shape, recipe)
    if recipe.lora is None:
        weights, how = FLOAT * learning, f"{shape.parameters:,} × 4 B"
    else:
        width = HALF if recipe.lora.frozen == "bfloat16" else FLOAT
        weights = width * shape.parameters + FLOAT * learning
        how = f"{shape.parameters:,} × {width} B + {learning:,} × 4 B"
    yield Part("weights", weights / among, how + shared)
    yield Part("gradients", FLOAT * learning / among, f"{learning:,} × 4 B{shared}", drawing=False)
    if setting.processes > 1 and not setting.sharded:
        copies = f"{learning:,} × 4 B: DDP's buckets are copies"
        yield Part("gradients, again", FLOAT * learning, copies)
    moments = MOMENTS[recipe.optimizer]
    yield Part("optimiser", moments * learning / among, f"{learning:,} × {moments:.4g} B{shared}")
    if recipe.beta > 0 and recipe.lora is None:
        size = FLOAT * shape.parameters / among
        yield Part("reference", size, f"{shape.parameters:,} × 4 B{shared}")


def _passes(shape: Shape, recipe: RecipeManifest, setting: Setting) -> Iterator[Part]:
    """What forward and backward passes need beside them."""
    yield from _copies(shape, recipe, setting)
    rollouts = recipe.rollouts_per_device or drawn_together(recipe, setting.processes)
    length = longest_rollout(recipe, setting)
    patches = rollouts * picture_patches(shape, recipe, setting)
    yield Part(
        "activations",
        decoder_activations(shape, recipe, rollouts, length)
        + _vision_activations(shape, recipe, patches),
        f"{rollouts} × {length:,} tokens"
        + (", a layer at a time" if recipe.gradient_checkpointing else ", every layer's"),
        drawing=False,
    )
    yield Part(
        "output layer",
        _output_layer(shape, recipe, rollouts * written_tokens(recipe)),
        f"a tile of {TILE_TOKENS:,} × {TILE_WORDS:,} logits"
        + ("" if recipe.lora else ", the layer's gradient"),
        drawing=False,
    )


def _copies(shape: Shape, recipe: RecipeManifest, setting: Setting) -> Iterator[Part]:
    """Weights as the passes compute with them: cast, or gathered from all processes."""
    width = HALF if recipe.bf16 else FLOAT
    if setting.sharded and setting.processes > 1:
        gathered = width * (3 * shape.layer_parameters + shape.embedding_parameters)
        how = f"two layers, a layer's gradient, the embedding × {width} B"
        yield Part("gathered weights", gathered, how)
    elif recipe.bf16 and (recipe.lora is None or recipe.lora.frozen == "float32"):
        alone = recipe.lora is not None and recipe.gradient_checkpointing  # not kept once used
        weights = shape.layer_parameters if alone else shape.parameters
        yield Part("bf16 copies", HALF * weights, f"{weights:,} × 2 B", drawing=not recipe.use_vllm)


def layer_activations(hidden: int, intermediate: int, bf16: bool) -> int:
    """Bytes that autograd keeps of one token in one layer, its row of the mask not among them.

    float32: 10 hidden and 4 intermediate vectors. bf16: the residual stream and the norms in
    float32, the rest in bf16, with a cast of its own for each linear layer's input.
    """
    return 34 * hidden + 8 * intermediate if bf16 else 40 * hidden + 16 * intermediate


def decoder_activations(shape: Shape, recipe: RecipeManifest, rollouts: int, length: int) -> float:
    """Bytes that autograd keeps of the decoder, for so many rollouts of so many tokens each."""
    tokens, width = rollouts * length, HALF if recipe.bf16 else FLOAT
    layer = tokens * layer_activations(shape.hidden, shape.intermediate, recipe.bf16)
    layer += width * rollouts * length**2  # the mask
    # The embedding and the last norm; with checkpointing the embedding is the first layer's input.
    outside = (8 if recipe.gradient_checkpointing else 10) * tokens * shape.hidden
    return outside + _over_layers(recipe, shape.layers, layer, FLOAT * tokens * shape.hidden)


def _vision_activations(shape: Shape, recipe: RecipeManifest, patches: int) -> float:
    """Of the vision tower where it learns, each of whose layers is taken for a decoder's."""
    if recipe.lora is not None:
        return 0.0
    hidden, intermediate = shape.vision_hidden, shape.vision_intermediate
    layer = patches * layer_activations(hidden, intermediate, recipe.bf16)
    return _over_layers(recipe, shape.vision_layers, layer, FLOAT * patches * hidden)


def _over_layers(recipe: RecipeManifest, layers: int, whole: float, inputs: float) -> float:
    """All layers' activations, or with checkpointing their inputs and one layer's."""
    return layers * inputs + whole if recipe.gradient_checkpointing else layers * whole


def _output_layer(shape: Shape, recipe: RecipeManifest, tokens: int) -> float:
    """TRL's output layer: a tile, a slice of its weights, gradients of its input and of it."""
    width = HALF if recipe.bf16 else FLOAT
    tile = width * min(tokens, TILE_TOKENS) * TILE_WORDS
    piece = width * TILE_WORDS * shape.hidden
    of_input = (width + FLOAT) * tokens * shape.hidden
    of_layer = 0 if recipe.lora else FLOAT * shape.vocabulary * shape.hidden
    return tile + piece + of_input + of_layer


def _rollouts(shape: Shape, recipe: RecipeManifest, setting: Setting) -> Iterator[Part]:
    """What drawing them needs: vLLM's share of the card, or a cache of keys and values."""
    if recipe.use_vllm:
        share = recipe.vllm.gpu_memory_utilization
        yield Part(
            "vLLM",
            share * setting.card_gib * GIB,
            f"{share:g} × {setting.card_gib:g} GiB"
            + (", given back to learn" if recipe.vllm.enable_sleep_mode else ""),
            learning=not recipe.vllm.enable_sleep_mode,
        )
        return
    width = HALF if recipe.bf16 else FLOAT
    together = drawn_together(recipe, setting.processes)
    length, prompt = longest_rollout(recipe, setting), longest_prompt(recipe, setting)
    token = 2 * shape.layers * shape.kv_heads * shape.head_size * width
    yield Part(
        "keys and values",
        together * length * token,
        f"{together} × {length:,} tokens × {token:,} B",
        learning=False,
    )
    yield Part(
        "reading prompts",
        width * together * prompt * (3 * shape.intermediate + 4 * shape.hidden),
        f"{together} × {prompt:,} tokens, one layer's",
        learning=False,
    )


def vllm_minimum(shape: Shape, recipe: RecipeManifest, setting: Setting) -> float:
    """Bytes below which vLLM does not start: bf16 weights and one rollout's keys and values."""
    length = recipe.vllm.max_model_len or longest_rollout(recipe, setting)
    token = 2 * shape.layers * shape.kv_heads * shape.head_size * HALF
    return HALF * shape.parameters + length * token
