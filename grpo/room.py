"""Whether the disks have room for what a training will keep, asked before anything is loaded.

An estimate from below: the policy itself and, where any is kept, one checkpoint, which has the
weights and AdamW's two moments of each. They are made in the machine's temporary folder and then
kept in the run, so both places need the room. Only a clear lack stops the work.
"""

import shutil
import tempfile
from pathlib import Path

from qibox.engines.sources import local_directory
from qibox.errors import QiboxError
from qibox.manifests.recipe import RecipeManifest
from qibox.run.storage import Storage
from qibox.scoring.space import size

CHECKPOINT = 3  # times the weights


def check_room(storage: Storage, recipe: RecipeManifest, save_every: int) -> None:
    """Refuse a training that a disk has no room for.

    Raises:
        QiboxError: says what is needed, what is free and what to do.
    """
    needed = bytes_to_keep(recipe, save_every)
    places = [Path(tempfile.gettempdir())] + [Path(storage.root)] * storage.is_local
    for place in places:
        free = shutil.disk_usage(place).free
        if needed > free:
            raise QiboxError(
                f"{place} needs about {size(needed)} for the policy and a checkpoint, and "
                f"{size(free)} are free there: free some space, keep no checkpoints, or take "
                "another run or temporary folder (TMPDIR); what is there is kept",
                fields=["save_every"],
            )


def bytes_to_keep(recipe: RecipeManifest, save_every: int) -> int:
    """About how much a training will keep; 0 where the weights are not on this machine."""
    folder = local_directory(recipe.policy) or _cached(recipe)
    if folder is None:
        return 0
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    keeps_all = bool(save_every) and recipe.lora is None  # adapters are small
    return weights * (1 + CHECKPOINT * keeps_all)


def _cached(recipe: RecipeManifest) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(recipe.policy, "config.json", revision=recipe.revision)
    return Path(found).parent if isinstance(found, str) else None
