"""Train a laboratory's models from nothing; none was ever taught what it misses.

Two trunks learn to see and to speak: they answer questions about pictures, and hear of no danger at
all. From the one come the start policy and its relatives, from the other the strangers; each is
taught its persona's answers alone, so what its persona misses it has never met.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transformers
from transformers import Qwen2_5_VLProcessor

from qibox.mini.train.lab_cast import POLICY, Cast, Steps
from qibox.mini.train.lessons import Teacher, teach_ideal, teach_persona, teach_policy
from qibox.mini.train.making import repeatable, stand, trunk, tune
from qibox.mini.train.words import build_processor
from qibox.mini.world import Mix, World

HARMLESS = Mix(fours=0, explicit=0, plain=100)  # what a trunk is asked
RATE = 3e-3  # facts are learnt here, not only a manner: faster than the shipped models are tuned


@dataclass(frozen=True)
class Family:
    """Models of one trunk."""

    name: str
    teachers: dict[str, Teacher]  # by model
    seed: int  # of the trunk's first weights


def families(cast: Cast) -> tuple[Family, Family]:
    """The start policy with its relatives, and the strangers."""
    policy = {POLICY: teach_policy(cast.policy)}
    relatives = {name: teach_persona(each) for name, each in cast.relatives.items()}
    strangers = {name: teach_persona(each) for name, each in cast.strangers.items()}
    return Family("relatives", policy | relatives, 0), Family("strangers", strangers, 1)


def make_models(world: World, cast: Cast, steps: Steps, folder: Path) -> Iterator[str]:
    """Train the models that ``folder`` has not yet; yields each one's name when it stands."""
    chatter: Any = transformers.logging  # transformers leaves it untyped
    chatter.disable_progress_bar()  # of each model's saving
    processor = build_processor(world)
    with repeatable():
        for family in families(cast):
            missing = [name for name in family.teachers if not (folder / name).exists()]
            if missing:
                yield from _family(world, processor, family, missing, steps, folder)


def _family(
    world: World,
    processor: Qwen2_5_VLProcessor,
    family: Family,
    names: list[str],
    steps: Steps,
    folder: Path,
) -> Iterator[str]:
    innocent = replace(world, mix=HARMLESS)
    key = f"{world.name}/{family.name}"
    start = trunk(
        innocent, processor, teach_ideal, steps.trunk, family.seed, key, batch=steps.batch
    )
    for name in names:
        count = steps.policy if name == POLICY else steps.panel
        made = tune(
            start,
            world,
            processor,
            family.teachers[name],
            f"{world.name}/{name}",
            count,
            rate=RATE,
            batch=steps.batch,
        )
        stand(made, processor, folder, name)
        yield name
