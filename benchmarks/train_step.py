"""What a training step costs beside TRL's own, and beside what has to be computed.

`ratio`: the time of a step of `--rollout plain` over that of a plain TRL GRPOTrainer which is given
the same policy, prompts, settings and judge; the two take turns, and the ratio is of the medians.
`outside`: the share of a step of `--rollout reflect`, three of ten drafts called unsafe, that is
spent outside generation, judging, forward and backward.

    python benchmarks/train_step.py

The last two lines are `outside: SHARE` and `ratio: VALUE`; the lines before tell where a step goes.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
from credit import settle

from qibox.manifests import JudgeManifest, RecipeManifest, load_manifest
from qibox.tables import SELECTION

UNSAFE = (3, 10)  # three of ten drafts
WARM = 2  # steps of each turn that are not counted
RATE = 1e-9  # learning rate: no policy moves, so all turns do the same work


class Clock:
    """Where the time of a trainer's steps goes."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = defaultdict(float)  # of the step at hand
        self.steps: list[dict[str, float]] = []  # seconds of each part, and of all
        self._begun = time.perf_counter()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts for a part."""

        def call(*given: Any, **named: Any) -> Any:
            with self.counting(part):
                return function(*given, **named)

        return call

    @contextmanager
    def counting(self, part: str) -> Iterator[None]:
        """Count the time of a block for a part."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.parts[part] += time.perf_counter() - begun

    def end_step(self) -> None:
        """Close a step and begin the next one."""
        now = time.perf_counter()
        self.steps.append({**self.parts, "all": now - self._begun})
        self.parts.clear()
        self._begun = now

    def callback(self) -> Any:
        """The trainer callback that ends steps."""
        from transformers import TrainerCallback

        end = self.end_step

        class Ends(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_step_end(self, *_: Any, **__: Any) -> None:
                end()

        return Ends()

    def drop(self, count: int) -> None:
        """Forget the last steps but for all beyond the first ``count`` of them."""
        del self.steps[-count:]


class Judge:
    """The miniature judge, timed; of drafts, a fixed share is called unsafe where that is asked."""

    def __init__(self, selection: pa.Table, forced: bool) -> None:
        from qibox.grpo.judging import SelectionJudge
        from qibox.judges.load import load_judge

        self._judge = SelectionJudge(load_judge(load_manifest(JudgeManifest, "oracle")), selection)
        self._forced = forced
        self._size = 0  # rollouts of a step: as many texts are drafts, fewer are corrections

    def __call__(self, sample_ids: list[str], texts: list[str]) -> list[Any]:
        ratings = self._judge(sample_ids, texts)
        self._size = max(self._size, len(texts))
        if not self._forced:
            return [replace(rating, safe=True) for rating in ratings]
        drafts = len(texts) == self._size
        return [
            replace(rating, safe=not drafts or place % UNSAFE[1] >= UNSAFE[0])
            for place, rating in enumerate(ratings)
        ]


def selection_of(size: int) -> pa.Table:
    """The first samples of the miniature pool, as a selection."""
    from qibox.mini.pool import iter_samples

    rows = [
        {
            **{name: sample[name] for name in SELECTION.names if name in sample},
            "prompt": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "text": None},
                        {"type": "text", "text": sample["question"]},
                    ],
                }
            ],
            "images": [sample["image"]],
            "quality": 5.0,
            "instability": 2.0,
        }
        for sample in iter_samples("train", size)
    ]
    return pa.Table.from_pylist(rows, schema=SELECTION)


def ours(given: argparse.Namespace, unsafe: str, clock: Clock, scratch: Path) -> Any:
    """Our trainer under this kind of rollout."""
    from qibox.grpo.configuring import training_arguments
    from qibox.grpo.rollout_rows import RolloutWriter
    from qibox.grpo.train import make_trainer
    from qibox.run.storage import Storage

    recipe = recipe_of(given, unsafe)
    selection = selection_of(given.size)
    judge = clock.timed("judging", Judge(selection, unsafe == "reflect"))
    record = RolloutWriter(Storage(scratch)).add
    arguments = training_arguments(recipe, str(scratch))
    return watched(make_trainer(recipe, selection, judge, record, arguments), clock)


def plain_trl(given: argparse.Namespace, clock: Clock, scratch: Path) -> Any:
    """TRL's own trainer on the same prompts, rewarded by the same judge."""
    from transformers import PrinterCallback
    from trl.trainer.grpo_trainer import GRPOTrainer

    from qibox.grpo.configuring import load_policy, training_arguments
    from qibox.grpo.data import training_dataset

    recipe = recipe_of(given, "plain")
    selection = selection_of(given.size)
    judge = Judge(selection, forced=False)
    model, processor = load_policy(recipe)

    def reward(completions: list[Any], sample_id: list[str], **_: Any) -> list[float | None]:
        texts = [turns[0]["content"].strip() for turns in completions]
        with clock.counting("judging"):
            return [rating.score for rating in judge(sample_id, texts)]

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        processing_class=processor,
        args=training_arguments(recipe, str(scratch)),
        train_dataset=training_dataset(selection, processor.tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    return watched(trainer, clock)


def recipe_of(given: argparse.Namespace, unsafe: str) -> RecipeManifest:
    """The miniature recipe for one turn of steps."""
    mini = load_manifest(RecipeManifest, "mini")
    return mini.model_copy(
        update={
            "rollout": mini.rollout.model_copy(update={"unsafe": unsafe}),
            "steps": given.steps + WARM,
            "prompts_per_step": given.prompts,
            "refill": 0,
            "learning_rate": RATE,
            "schedule": "constant",
        }
    )


def watched(trainer: Any, clock: Clock) -> Any:
    """The trainer, its parts timed."""
    forward = "_get_per_token_logps_and_entropies"
    trainer._generate_single_turn = clock.timed("generation", trainer._generate_single_turn)
    setattr(trainer, forward, clock.timed("forward", getattr(trainer, forward)))
    trainer.accelerator.backward = clock.timed("backward", trainer.accelerator.backward)
    trainer.add_callback(clock.callback())
    return trainer


def turn(trainer: Any, clock: Clock, steps: int) -> None:
    """Train for some steps; the first few warm up and are forgotten."""
    before = len(clock.steps)
    trainer.train()
    assert len(clock.steps) == before + steps + WARM
    del clock.steps[before : before + WARM]


def told(name: str, clock: Clock) -> dict[str, float]:
    """Print where a step goes, in ms; medians over steps."""
    parts = ["generation", "judging", "forward", "backward", "all"]
    found = {part: median(step.get(part, 0.0) for step in clock.steps) for part in parts}
    print(f"{name}: " + ", ".join(f"{part} {1000 * found[part]:.1f} ms" for part in parts))
    return found


def outside(clock: Clock) -> float:
    """The share of a step that no part accounts for; the median over steps."""
    return median(1 - sum(v for p, v in step.items() if p != "all") / step["all"] for step in clock.steps)


def main(arguments: list[str]) -> None:
    """Take turns and print."""
    settle()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=4, help="of each trainer")
    parser.add_argument("--steps", type=int, default=10, help="of a turn")
    parser.add_argument("--prompts", type=int, default=4, help="of a step")
    parser.add_argument("--size", type=int, default=240, help="samples to draw prompts from")
    given = parser.parse_args(arguments)
    from qibox.grpo.train import _silence
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    _silence()
    names = ("plain TRL", "plain rollouts", "three of ten corrected")
    clocks = {name: Clock() for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.turns):
            for name in names if number % 2 == 0 else names[::-1]:
                scratch, clock = Path(folder, f"{name}-{number}"), clocks[name]
                if name == names[0]:
                    trainer = plain_trl(given, clock, scratch)
                else:
                    trainer = ours(given, "plain" if name == names[1] else "reflect", clock, scratch)
                turn(trainer, clock, given.steps)
    found = {name: told(name, clock) for name, clock in clocks.items()}
    print(f"outside: {outside(clocks[names[2]]):.3f}")
    print(f"ratio: {found[names[1]]['all'] / found[names[0]]['all']:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
