"""Low-rank adapters through peft: which layers get them, and the policy that they are merged into.

The reference of the KL term is the same model with its adapters disabled, so there is no second
copy of the weights. A checkpoint holds the adapters alone.
"""

import shutil
from pathlib import Path
from typing import Any

from qibox.errors import UsageError
from qibox.grpo.configuring import load_policy
from qibox.grpo.sharding import save_whole
from qibox.manifests.recipe import Lora, RecipeManifest

MODEL, ADAPTER = "model", "adapter"  # folders of a policy


def adapter_settings(lora: Lora | None, model: Any) -> Any:
    """Return peft's configuration of a recipe's adapters for a model; None without adapters.

    Raises:
        UsageError: a target that is no linear layer of the model, or its output layer, whose
            adapter TRL's loss would not see.
    """
    if lora is None:
        return None
    import torch
    from peft import LoraConfig

    linear = [n for n, each in model.named_modules() if isinstance(each, torch.nn.Linear)]
    if lora.targets is None:
        targets: Any = _of_language_model(model, linear)
    else:
        targets = list(lora.targets)
        known = {name.rsplit(".", 1)[-1] for name in linear} - {"lm_head"}
        for name in targets:
            if name.rsplit(".", 1)[-1] not in known:
                raise UsageError(
                    f"lora.targets has '{name}', which is no linear layer of the policy that may "
                    f"have an adapter: {', '.join(sorted(known))}"
                )
    return LoraConfig(
        r=lora.rank,
        lora_alpha=2 * lora.rank if lora.alpha is None else lora.alpha,
        target_modules=targets,
        lora_dropout=0.0,  # the loss compares log probabilities that dropout would make noisy
    )


def save_policy(trainer: Any, recipe: RecipeManifest, name: str, folder: Path) -> None:
    """Write the trained policy into FOLDER/model, its adapters merged into what they adapt.

    With ``lora.keep`` they are in FOLDER/adapter as well, where they name the start policy by
    ``name``. All processes call this together.
    """
    if recipe.lora is None:
        save_whole(trainer, str(folder / MODEL))
        return
    save_whole(trainer, str(folder / ADAPTER))
    if trainer.args.should_save:
        _merge(recipe, folder)
        if recipe.lora.keep:
            _name_start(folder / ADAPTER, name)
        else:
            shutil.rmtree(folder / ADAPTER)


def _merge(recipe: RecipeManifest, folder: Path) -> None:
    """Merge on a copy of the start policy of its own, which works as well where it was sharded."""
    import torch
    from peft import PeftModel

    start, processor = load_policy(recipe)
    adapted = PeftModel.from_pretrained(start.to(torch.float32), str(folder / ADAPTER))
    adapted.merge_and_unload().save_pretrained(folder / MODEL)
    processor.save_pretrained(folder / MODEL)


def _name_start(folder: Path, name: str) -> None:
    """Say what the adapters adapt, without a path of this machine."""
    import json

    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": name}, indent=2))


def _of_language_model(model: Any, linear: list[str]) -> str:
    """A pattern of all linear layers of the language model; none of the vision tower's."""
    decoder = model.get_decoder()
    prefix = next(name for name, each in model.named_modules() if each is decoder)
    last = sorted({n.rsplit(".", 1)[-1] for n in linear if n.startswith(f"{prefix}.")})
    return rf"{prefix}\..*\.({'|'.join(last)})"
