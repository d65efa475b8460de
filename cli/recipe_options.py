"""Options that set a recipe's fields for one command."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qibox.manifests.recipe import RecipeManifest

# option → the recipe's field that it sets; a dot leads into a group of them
OVERRIDES = {
    "policy": "policy",
    "steps": "steps",
    "seed": "seed",
    "rollout": "rollout.unsafe",
    "reward": "reward",
    "credit": "credit",
    "learning_rate": "learning_rate",
    "updates_per_batch": "updates_per_batch",
    "refill": "refill",
    "objective": "objective",
    "cost_limit": "cost_limit",
    "judge_gpus": "judge_gpus",
    "lora": "lora.rank",
    "second_judge": "monitors.second_judge",
}


def overridden(recipe: "RecipeManifest", options: dict[str, Any]) -> "RecipeManifest":
    """Return the recipe with the options that were given, checked as a manifest is.

    Options that set none of its fields are passed over.

    Raises:
        UsageError: a value that the recipe does not allow.
    """
    from pydantic import ValidationError

    from qibox.errors import UsageError
    from qibox.manifests.load import describe
    from qibox.manifests.recipe import RecipeManifest

    values = recipe.model_dump()
    for option, value in options.items():
        if value is None or option not in OVERRIDES:
            continue
        *parents, field = OVERRIDES[option].split(".")
        target = values
        for parent in parents:
            target[parent] = target[parent] or {}  # a group that the recipe left out
            target = target[parent]
        target[field] = value
    try:
        return RecipeManifest.model_validate(values)
    except ValidationError as error:
        says = describe(error, RecipeManifest)
        named = set(re.findall(r"[a-z_.]*[a-z_]", says))
        fields = [option for option, field in OVERRIDES.items() if field in named]
        raise UsageError(f"recipe '{recipe.name}': {says}", fields=fields) from error
