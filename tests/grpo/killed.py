"""A training that kills itself (SIGKILL) at a named moment."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from qibox.grpo import unfinished
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.run.storage import Storage


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_when_written(ending: str) -> None:
    """Die in the middle of writing a file whose name ends so."""
    usual = Storage.writing

    @contextmanager
    def writing(self: Storage, name: str, **how: Any) -> Iterator[BinaryIO]:
        with usual(self, name, **how) as file:
            yield file
            if name.endswith(ending):
                die()

    Storage.writing = writing  # type: ignore[method-assign]


def kill_when_moved(ending: str) -> None:
    """Die after a file whose name ends so is in its place."""
    usual = unfinished.move

    def move(storage: Storage, source: str, target: str) -> None:
        usual(storage, source, target)
        if target.endswith(ending):
            die()

    unfinished.move = move


def main(run: str, recipe: str, name: str, how: str, ending: str) -> None:
    {"written": kill_when_written, "moved": kill_when_moved}[how](ending)
    opened = Run.open(run)
    wanted = RecipeManifest.model_validate(yaml.safe_load(Path(recipe).read_text()))
    judge = load_manifest(JudgeManifest, "hash")
    plan = resolve_training(opened, "default", wanted, judge, name)
    train(opened, plan, wanted, save_every=2, overwrite=True)
