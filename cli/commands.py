"""The sub-commands of `qibox`: each is the ``command`` of the module of its name, loaded late."""

import importlib
from collections.abc import Mapping

import click

from qibox.importing import importing

COMMANDS = (  # in the order of the work
    "demo",
    "plan",
    "score",
    "status",
    "select",
    "intervals",
    "train",
    "eval",
    "compare",
    "profile",
    "value",
    "judge",
    "audit",
    "serve",
    "sql",
    "show",
    "plot",
    "explore",
    "clean",
    "manifests",
    "doctor",
    "fetch",
    "cluster",
    "world",
)


def load_command(name: str) -> click.Command | None:
    """The command of that name."""
    if name not in COMMANDS:
        return None
    with importing():
        found: click.Command = importlib.import_module(f"qibox.cli.{name}").command
    return found


def load_flags(name: str) -> Mapping[str, str]:
    """What sets the fields that a command's options are not called after, by field."""
    found: Mapping[str, str] = getattr(importlib.import_module(f"qibox.cli.{name}"), "FLAGS", {})
    return found
