"""Trackers that a training reports to, under transformers' names; none unless asked.

What is reported is what metrics.jsonl holds, and the configuration; never a rollout's text.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

from qibox.errors import UsageError

# Trackers whose module or package is not called as transformers calls them.
MODULES = {"azure_ml": "azureml", "flyte": "flytekit"}
PACKAGES = {"azure_ml": "azureml-core", "comet_ml": "comet-ml", "flyte": "flytekit"}


def reporters(asked: Sequence[str]) -> list[str]:
    """Return the trackers asked for: all that are installed for ``all``, none for ``none``.

    Raises:
        UsageError: a tracker that transformers does not know, or whose package is not installed.
    """
    if not asked or list(asked) == ["none"]:
        return []
    from transformers.integrations import integration_utils as known

    there = known.get_available_reporting_integrations()
    if list(asked) == ["all"]:
        return list(there)
    names = dict.fromkeys(asked)
    for name in names:
        if name not in known.INTEGRATION_TO_CALLBACK:
            raise UsageError(
                f"no tracker is named '{name}': there are "
                f"{', '.join(sorted(known.INTEGRATION_TO_CALLBACK))}; all alone for those that are "
                "installed, or none",
                fields=["report_to"],
            )
        if name not in there and not (name in MODULES and find_spec(MODULES[name])):
            raise UsageError(
                f"tracker {name} is asked for and is not installed: pip install "
                f"{PACKAGES.get(name, name)}",
                fields=["report_to"],
            )
    return list(names)


@contextmanager
def tracking(asked: Sequence[str], folder: str | None) -> Iterator[None]:
    """Set for the block what trackers read from the environment.

    ``folder`` is where TensorBoard's events go unless a person has said; None: beside the scratch.
    """
    wanted = {} if {"wandb", "all"} & set(asked) else {"WANDB_DISABLED": "1"}
    if folder is not None and "TENSORBOARD_LOGGING_DIR" not in os.environ:
        wanted["TENSORBOARD_LOGGING_DIR"] = folder
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
