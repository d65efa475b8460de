"""A training on recorded completions, in one process or as one of several.

TRL draws differently in each process, so what is drawn is fixed here by prompt, place in the group
and turn: the same for any number of processes.
"""

import random
from pathlib import Path

import yaml

from qibox.grpo.conversation import Drawn
from qibox.grpo.progress_log import OnStep
from qibox.grpo.train import train
from qibox.grpo.training_plan import resolve_training
from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.run.directory import Run
from qibox.torchvision_ops import declare_missing_operators

WORDS = range(10, 90)  # tokens of the miniature vocabulary that end no turn


def recorded_writer() -> type:
    """A writer whose every turn is the recorded one."""
    declare_missing_operators()  # before anything imports transformers
    from qibox.grpo.writing import PolicyWriter

    class Recorded(PolicyWriter):
        def write(self, rows: list[int], so_far: list[list[int]], max_tokens: int) -> list[Drawn]:
            process = self._trainer.accelerator.process_index
            k = self._trainer.num_generations
            drawn = []
            for row, before in zip(rows, so_far, strict=True):
                place = (process * len(self._prompts) + row) % k
                dice = random.Random(repr((self.prompt_ids[row], place, before)))
                ids = [dice.choice(WORDS) for _ in range(dice.randint(1, max_tokens - 1))]
                drawn.append(Drawn([*ids, self.end_ids[0]]))
            return drawn

    return Recorded


def replay() -> None:
    """Let every turn be the recorded one."""
    writer = recorded_writer()
    from qibox.grpo import trainer

    trainer.PolicyWriter = writer  # type: ignore[misc]


def main(run: str, recipe: str, name: str, on_step: OnStep = lambda step, metrics: None) -> None:
    replay()
    opened = Run.open(run)
    wanted = RecipeManifest.model_validate(yaml.safe_load(Path(recipe).read_text()))
    judge = load_manifest(JudgeManifest, "hash")
    plan = resolve_training(opened, "default", wanted, judge, name)
    train(opened, plan, wanted, on_step, save_every=1)
