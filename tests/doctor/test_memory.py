"""A training's memory: against what real models hold, and laws that any sum of it obeys."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qibox.doctor.memory import GIB, Need, Setting, decoder_activations, need, trained_parameters
from qibox.doctor.remedies import enough_cards, remedies, vllm_too_small
from qibox.doctor.shape import KNOWN, Shape, policy_shape, shape_of
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.manifests.recipe import Lora
from qibox.run.directory import Run
from tests.grpo.conftest import policy, recipe, run

__all__ = ["policy", "recipe", "run"]  # fixtures

THREE = "Qwen/Qwen2.5-VL-3B-Instruct"
SMALL = Shape(
    parameters=1000,
    vision_parameters=100,
    layers=3,
    hidden=8,
    intermediate=16,
    heads=2,
    kv_heads=1,
    head_size=4,
    vocabulary=50,
    tied=True,
    vision_layers=2,
    vision_hidden=4,
    vision_intermediate=8,
)


def sizes(found: Need) -> dict[str, float]:
    return {part.name: part.size for part in found.parts}


BASE = load_manifest(RecipeManifest, "safer-vlm-3b")


def safer(**changes: Any) -> RecipeManifest:
    return BASE.model_copy(update=changes)


def test_the_known_sizes_are_those_of_the_published_configurations() -> None:
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    for shape in KNOWN.values():
        text = {
            "hidden_size": shape.hidden,
            "intermediate_size": shape.intermediate,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "vocab_size": shape.vocabulary,
            "tie_word_embeddings": shape.tied,
        }
        vision = {
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_hidden,
            "intermediate_size": shape.vision_intermediate,
            "num_heads": 16,
            "out_hidden_size": shape.hidden,
        }
        config = Qwen2_5_VLConfig(
            text_config=text, vision_config=vision, tie_word_embeddings=shape.tied
        )
        with torch.device("meta"):
            model: Any = Qwen2_5_VLForConditionalGeneration(config)
        model.tie_weights()
        count = sum(weight.numel() for weight in model.parameters())
        seeing = sum(weight.numel() for weight in model.model.visual.parameters())
        assert (shape.parameters, shape.vision_parameters) == (count, seeing)
        assert shape.head_size == shape.hidden // shape.heads


def test_a_model_on_this_machine_is_measured_by_its_configuration(policy: Path) -> None:
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(policy)
    shape = shape_of(str(policy))
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    assert shape.vision_parameters == sum(w.numel() for w in model.model.visual.parameters())
    assert (shape.layers, shape.kv_heads, shape.head_size, shape.tied) == (2, 2, 32, True)
    layer = model.model.language_model.layers[0]
    matrices = [weight.numel() for weight in layer.parameters() if weight.ndim == 2]
    assert shape.layer_parameters == sum(matrices)
    assert policy_shape(THREE, None) == KNOWN[THREE]
    assert policy_shape("nobody/nothing", None) is None


@pytest.mark.parametrize("lora", [None, Lora(rank=3, targets=("q_proj", "down_proj"))])
def test_weights_gradients_moments_and_reference_are_what_a_real_training_holds(
    run: Run, recipe: RecipeManifest, tmp_path: Path, lora: Lora | None
) -> None:
    from transformers import TrainerCallback

    from qibox.grpo.judging import SelectionJudge
    from qibox.grpo.train import make_trainer, training_arguments
    from qibox.judges.load import load_judge
    from qibox.selection.read import read_selection

    recipe = recipe.model_copy(update={"lora": lora, "steps": 1})
    gradients: list[int] = []

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:
            there = [weight.grad for weight in model.parameters() if weight.grad is not None]
            gradients.append(sum(gradient.nbytes for gradient in there))

    selection = read_selection(run.storage, "default")
    judge = SelectionJudge(load_judge(load_manifest(JudgeManifest, "hash")), selection)
    arguments = training_arguments(recipe, str(tmp_path))
    trainer = make_trainer(recipe, selection, judge, lambda rows: None, arguments)
    trainer.add_callback(Watch())
    trainer.train()
    told = sizes(need(shape_of(recipe.policy), recipe, Setting()))
    assert told["weights"] == sum(w.nbytes for w in trainer.model.parameters())
    # A weight that no rollout reached has neither gradient nor moments.
    assert 0.9 * told["gradients"] <= gradients[0] <= told["gradients"]
    moments = [
        value.nbytes
        for state in trainer.optimizer.state.values()
        for name, value in state.items()
        if name.startswith("exp_avg")
    ]
    assert 0.9 * told["optimiser"] <= sum(moments) <= told["optimiser"]
    if lora is None:
        assert told["reference"] == sum(w.nbytes for w in trainer.ref_model.parameters())
    else:
        assert (trainer.ref_model, "reference" in told) == (None, False)
        learning = sum(w.numel() for w in trainer.model.parameters() if w.requires_grad)
        assert trained_parameters(shape_of(recipe.policy), recipe) == learning


def kept_by_autograd(model: Any, length: int, bf16: bool) -> int:
    """Bytes of all storages that a forward pass leaves for the backward pass, but weights'."""
    import torch

    def own(tensor: Any) -> bool:
        shape = tuple(tensor.shape)
        return shape in weights or shape[::-1] in weights

    weights = {tuple(weight.shape) for weight in model.parameters()}
    seen: dict[int, int] = {}
    alive = []

    def note(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if not own(tensor):
            seen[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    ids = torch.arange(2 * length).reshape(2, length) % 90 + 5
    mask = torch.ones_like(ids)
    mask[:, :3] = 0  # as left padding has it
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16),
    ):
        model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return sum(seen.values())


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_what_autograd_keeps_of_a_decoder_is_as_counted(
    policy: Path, bf16: bool, checkpointing: bool
) -> None:
    from transformers import AutoModelForImageTextToText

    model: Any = AutoModelForImageTextToText.from_pretrained(policy, attn_implementation="sdpa")
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    recipe = safer(bf16=bf16, gradient_checkpointing=checkpointing)
    measured = kept_by_autograd(model, 150, bf16)
    counted = decoder_activations(shape_of(str(policy)), recipe, 2, 150)
    if checkpointing:  # a layer's own are there only when the backward pass has come to it
        whole = recipe.model_copy(update={"gradient_checkpointing": False})
        one = replace(shape_of(str(policy)), layers=1)
        counted -= decoder_activations(one, whole, 2, 150) - 10 * 300 * one.hidden
    assert measured == pytest.approx(counted, rel=0.03)


def test_trl_holds_one_tile_of_logits_and_never_all_of_them() -> None:
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from trl.kernels import chunked_logprob
    from trl.trainer import utils

    from qibox.doctor.memory import TILE_TOKENS, TILE_WORDS

    assert (chunked_logprob.TOKEN_CHUNK_SIZE, utils._CHUNKED_LOGPROB_CHUNK_SIZE) == (
        TILE_TOKENS,
        TILE_WORDS,
    )
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(
            self, op: Any, types: Any, given: Any = (), named: Any = None
        ) -> Any:
            nonlocal largest
            made = op(*given, **(named or {}))
            if isinstance(made, torch.Tensor):
                largest = max(largest, made.untyped_storage().nbytes())
            return made

    tokens, words = 48, TILE_WORDS + 5_000
    hidden, weight = torch.randn(tokens, 4, requires_grad=True), torch.randn(words, 4)
    weight.requires_grad_()
    targets = torch.arange(tokens)
    with Largest():
        given = (hidden, weight, None, targets, 1.0, TILE_WORDS, None, 1.0, ("entropy",))
        chosen, *_ = chunked_logprob.ChunkedLogProbFunction.apply(*given)
        chosen.sum().backward()
    assert largest == tokens * TILE_WORDS * 4
    assert largest < tokens * words * 4
    whole = (hidden @ weight.T).log_softmax(-1)[range(tokens), targets]
    assert torch.allclose(chosen, whole, atol=1e-4)


def test_the_sum_of_3b_by_hand() -> None:
    told = sizes(need(KNOWN[THREE], safer(), Setting(processes=8)))
    count = 3_754_622_976
    assert told["weights"] == told["gradients"] == told["reference"] == count * 4
    assert told["gradients, again"] == count * 4
    assert told["optimiser"] == count * 8
    assert told["bf16 copies"] == count * 2
    assert told["vLLM"] == 0.3 * 80 * GIB
    # 4,096 + 4,608 tokens: 36 layers' inputs of 2,048 floats; one layer's 34 × 2,048 + 8 × 11,008
    # bytes a token and its mask of 8,704 × 8,704 × 2; 8 × 2,048 bytes a token outside. The vision
    # tower: 1,003,520 pixels are 5,120 patches of 14 × 14, likewise, without a mask.
    decoder = 8704 * (36 * 4 * 2048 + 34 * 2048 + 8 * 11_008 + 8 * 2048) + 2 * 8704**2
    vision = 5120 * (32 * 4 * 1280 + 34 * 1280 + 8 * 3420)
    assert told["activations"] == decoder + vision
    # A tile in bf16, a slice of weights, the inputs and their float32 gradient, the layer's own.
    tile, piece = 2 * 4096 * 32_768, 2 * 32_768 * 2048
    assert told["output layer"] == tile + piece + 6 * 4608 * 2048 + 4 * 151_936 * 2048
    shared = sizes(need(KNOWN[THREE], safer(), Setting(processes=8, sharded=True)))
    assert shared["weights"] == count * 4 / 8
    assert "gradients, again" not in shared
    drawn = sizes(need(KNOWN[THREE], safer(use_vllm=False), Setting()))
    assert drawn["keys and values"] == 80 * 8704 * (2 * 36 * 2 * 128 * 2)


def whole(**sizes: Any) -> Shape:
    """A shape whose parameters are those of its layers and its vocabulary, and some more."""
    shape = replace(SMALL, **sizes)
    count = shape.layers * shape.layer_parameters + shape.embedding_parameters
    return replace(shape, parameters=count + shape.vision_parameters)


shapes = st.builds(
    whole,
    layers=st.integers(2, 80),  # one alone is kept twice by checkpointing
    hidden=st.integers(8, 8192),
    intermediate=st.integers(8, 30_000),
    vocabulary=st.integers(10, 200_000),
    vision_parameters=st.integers(100, 10**9),
)
recipes = st.builds(
    safer,
    lora=st.none() | st.builds(Lora, rank=st.integers(1, 64)),
    bf16=st.booleans(),
    beta=st.sampled_from([0.0, 0.01]),
    gradient_checkpointing=st.booleans(),
    use_vllm=st.booleans(),
    rollouts_per_device=st.integers(1, 80),
    optimizer=st.sampled_from(["adamw", "adamw_8bit"]),
)
places = st.builds(
    Setting,
    processes=st.integers(1, 16),
    sharded=st.booleans(),
    card_gib=st.sampled_from([16.0, 80.0]),
    prompt_tokens=st.integers(1, 5000),
)


@settings(max_examples=50, deadline=None)
@given(shapes, recipes, places)
def test_more_of_anything_never_needs_less(
    shape: Shape, recipe: RecipeManifest, setting: Setting
) -> None:
    now = need(shape, recipe, setting)
    assert now.most == max(now.drawing, now.learning)
    assert now.learning == sum(part.size for part in now.parts if part.learning)
    rollout = recipe.rollout
    for more in (
        need(replace(shape, parameters=2 * shape.parameters), recipe, setting),
        need(replace(shape, layers=shape.layers + 1), recipe, setting),
        need(replace(shape, hidden=shape.hidden + 8), recipe, setting),
        need(shape, recipe, replace(setting, prompt_tokens=(setting.prompt_tokens or 0) + 1)),
        need(shape, recipe.model_copy(update={"max_pixels": None}), setting),
        need(shape, recipe, replace(setting, judge_bytes=1.0)),
        need(
            shape,
            recipe.model_copy(
                update={"rollouts_per_device": (recipe.rollouts_per_device or 0) + 1}
            ),
            setting,
        ),
        need(
            shape,
            recipe.model_copy(
                update={"rollout": rollout.model_copy(update={"max_draft_tokens": 4096})}
            ),
            setting,
        ),
        need(shape, recipe.model_copy(update={"gradient_checkpointing": False}), setting),
        need(shape, recipe.model_copy(update={"optimizer": "adamw"}), setting),
    ):
        assert more.drawing >= now.drawing
        assert more.learning >= now.learning


@settings(max_examples=50, deadline=None)
@given(shapes, recipes, places)
def test_remedies_each_save_what_they_say_and_end_where_it_fits(
    shape: Shape, recipe: RecipeManifest, setting: Setting
) -> None:
    left = need(shape, recipe, setting).most
    found = remedies(shape, recipe, setting)
    assert bool(found) <= (not need(shape, recipe, setting).fits(setting.card_gib))
    for each in found:
        assert each.saved > 0
        assert each.left.most == pytest.approx(left - each.saved)
        left = each.left.most
    assert [each.fits for each in found[:-1]] == [False] * len(found[:-1])
    cards = enough_cards(shape, recipe, setting)
    if cards is not None:
        shared = replace(setting, processes=cards, sharded=True)
        assert need(shape, recipe, shared).fits(setting.card_gib)


def test_what_changes_least_of_what_is_learned_comes_first() -> None:
    plain = safer(gradient_checkpointing=False, rollouts_per_device=5)
    found = remedies(KNOWN[THREE], plain, Setting(processes=2))
    assert [each.change.split(":")[0] for each in found] == [
        "gradient_checkpointing",
        "rollouts_per_device",
        "vllm.enable_sleep_mode",
        "share the weights by FSDP (accelerate_config)",
    ]
    assert found[-1].fits
    alone = remedies(KNOWN["Qwen/Qwen2.5-VL-7B-Instruct"], plain, Setting(card_gib=24))
    assert [each.change for each in alone[-2:]] == ["lora.rank: 16", "lora.frozen: bfloat16"]


def test_a_share_of_the_card_that_is_too_small_for_vllm_is_told() -> None:
    # 6.99 GiB of bf16 weights and 8,704 × 36,864 bytes: 7.3 GiB, of 0.3 × 16 = 4.8.
    says = vllm_too_small(KNOWN[THREE], safer(), Setting(card_gib=16))
    assert says is not None
    assert "vLLM needs 7.3 GiB" in says
    assert "vllm.gpu_memory_utilization to 0.46 or more" in says
    assert vllm_too_small(KNOWN[THREE], safer(), Setting(card_gib=80)) is None
