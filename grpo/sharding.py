"""How a training's processes share its weights: accelerate's own configuration file.

Reads the YAML that ``accelerate config`` writes. accelerate's own launcher turns it into
environment variables, and is let do so here; what the recipe says as well must agree. FSDP and
DeepSpeed come from there: there are no settings of our own for them.
"""

import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any

import yaml

from qibox.errors import UsageError
from qibox.manifests.recipe import RecipeManifest

KINDS = ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP", "DEEPSPEED")
SHARDED = ("FSDP", "DEEPSPEED")
FIELDS = ["accelerate_config"]

Config = dict[str, Any]


def read_config(path: str) -> Config:
    """Return what a file of accelerate says.

    Raises:
        UsageError: no such file, or accelerate does not take it.
    """
    from accelerate.commands.config.config_args import load_config_from_file

    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}", fields=FIELDS) from error
    if not isinstance(content, dict):
        raise UsageError(
            f"{path} is no configuration of accelerate: `accelerate config` writes one",
            fields=FIELDS,
        )
    try:
        load_config_from_file(path)
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"accelerate does not take {path}: {error}", fields=FIELDS) from error
    return content


def check_config(config: Config, recipe: RecipeManifest, processes: int) -> None:
    """Refuse what contradicts the recipe or the number of processes.

    Raises:
        UsageError: the first contradiction.
    """
    found = [*_launch_contradictions(config, processes), *_recipe_contradictions(config, recipe)]
    if found:
        raise UsageError(f"accelerate's configuration has {found[0]}", fields=FIELDS)


def _launch_contradictions(config: Config, processes: int) -> list[str]:
    kind, promised = kind_of(config), config.get("num_processes")
    found = []
    if kind not in KINDS:
        found.append(f"distributed_type {kind}, and a training takes {', '.join(KINDS)}")
    if promised not in (None, processes):
        found.append(f"num_processes {promised}, and {processes} are started: make them agree")
    if config.get("num_machines", 1) > 1 and "WORLD_SIZE" not in os.environ:
        found.append(
            f"num_machines {config['num_machines']}: start torchrun on each of them, with "
            "`-m qibox.cli train …` as its program"
        )
    if kind in SHARDED and processes == 1:
        found.append(f"distributed_type {kind}, and one process has nobody to share with")
    return found


def _recipe_contradictions(config: Config, recipe: RecipeManifest) -> list[str]:
    fsdp, deepspeed = config.get("fsdp_config") or {}, config.get("deepspeed_config") or {}
    found = []
    precision = config.get("mixed_precision")
    said = "no" if precision is False else precision  # as YAML reads a bare no
    if said not in (None, "bf16" if recipe.bf16 else "no"):
        found.append(
            f"mixed_precision {said} and the recipe bf16: {str(recipe.bf16).lower()}: make them "
            "agree"
        )
    if fsdp.get("fsdp_activation_checkpointing") and recipe.gradient_checkpointing:
        found.append("fsdp_activation_checkpointing and the recipe gradient_checkpointing: use one")
    frozen = "float32" if recipe.lora is None else recipe.lora.frozen
    if kind_of(config) == "FSDP" and fsdp.get("fsdp_version", 1) == 1 and frozen != "float32":
        found.append(
            f"fsdp_version 1, which takes weights of one type, and the recipe lora.frozen {frozen}"
            ": set fsdp_version: 2"
        )
    if deepspeed.get("zero_stage") == 3 and not deepspeed.get("zero3_save_16bit_model"):
        found.append("zero_stage 3 without zero3_save_16bit_model: true, and saves no policy so")
    clipping = deepspeed.get("gradient_clipping", "auto")
    if clipping not in ("auto", recipe.max_grad_norm):
        found.append(
            f"gradient_clipping {clipping} and the recipe max_grad_norm {recipe.max_grad_norm}: "
            "make them agree, or leave it auto"
        )
    return found


def kind_of(config: Config) -> str:
    """The distributed_type of a configuration."""
    return str(config.get("distributed_type", "NO")).upper()


def apply_config(path: str, config: Config, processes: int) -> None:
    """Let accelerate's launcher set its environment variables for this process and its children.

    Raises:
        UsageError: the launcher refuses the configuration, or DeepSpeed is not installed.
    """
    if kind_of(config) == "DEEPSPEED" and importlib.util.find_spec("deepspeed") is None:
        raise UsageError(
            f"{path} asks for DeepSpeed, which is not installed: pip install deepspeed, or let "
            "distributed_type be FSDP",
            fields=FIELDS,
        )
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    given = ["--config_file", path, "--num_processes", str(processes), "qibox"]
    parsed = launch_command_parser().parse_args(given)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a port that torchrun does not use
            arguments, _, _ = _validate_launch_command(parsed)
            if kind_of(config) == "DEEPSPEED":
                _, made = prepare_deepspeed_cmd_env(arguments)
            else:
                made = prepare_multi_gpu_env(arguments)
    except (ValueError, RuntimeError, ImportError) as error:
        raise UsageError(f"accelerate does not take {path}: {error}", fields=FIELDS) from error
    os.environ.update({name: made[name] for name in made if name != "OMP_NUM_THREADS"})


def check_sharded(trainer: Any) -> None:
    """Refuse a training that should share its weights and does not.

    Raises:
        UsageError: accelerate passed over FSDP or DeepSpeed, as it does without an accelerator.
    """
    for kind, does in (("FSDP", "is_fsdp_enabled"), ("DEEPSPEED", "is_deepspeed_enabled")):
        asked = os.environ.get(f"ACCELERATE_USE_{kind}", "false").lower() == "true"
        if asked and not getattr(trainer, does):
            raise UsageError(
                f"accelerate's configuration asks for {kind}, which accelerate does among "
                f"accelerators alone, and {trainer.accelerator.num_processes} processes train on "
                f"{trainer.accelerator.device.type} here: set distributed_type to MULTI_CPU",
                fields=FIELDS,
            )


def sharded_by(trainer: Any) -> str | None:
    """What shares the trainer's weights among its processes, and their optimiser's state."""
    if trainer.is_deepspeed_enabled:
        return f"deepspeed {trainer.accelerator.state.deepspeed_plugin.zero_stage}"
    if trainer.is_fsdp_enabled:
        return f"fsdp {trainer.accelerator.state.fsdp_plugin.fsdp_version}"
    return None


def save_whole(trainer: Any, folder: str) -> None:
    """Write all weights of the trainer's model, gathered where they are shared.

    All processes call this together. accelerate's usual SHARDED_STATE_DICT is for checkpoints, and
    transformers then saves no model, without a word.
    """
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(folder)
