"""What a training step costs beside TRL's own, and beside what has to be computed.

`ratio`: the time of a step of `--rollout plain` over that of a plain TRL GRPOTrainer which is given
the same policy, prompts, settings and judge; the median over pairs, for the trainers take turns
with each step. `outside`: the share of a step of `--rollout reflect`, three of ten drafts called
unsafe, that is spent outside generation, judging, forward and backward; the median over steps.

    python benchmarks/train_step.py

The last two lines are `outside: SHARE` and `ratio: VALUE`; the lines before tell where a step goes.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
WARM = 2  # steps of each trainer that are not counted
RATE = 1e-9  # learning rate: no policy moves, so all steps do the same work
PARTS = ("generation", "judging", "forward", "backward")


class Relay:
    """Lets one of several threads run at a time, each until it hands on."""

    def __init__(self, runners: int) -> None:
        self._turns = [threading.Semaphore(0) for _ in range(runners)]
        self._turns[0].release()

    def wait(self, runner: int) -> None:
        """Stand still until it is this one's turn."""
        self._turns[runner].acquire()

    def hand_on(self, runner: int) -> None:
        """Let the next one run."""
        self._turns[(runner + 1) % len(self._turns)].release()


class Clock:
    """Where the time of a trainer's steps goes, whose runs others interrupt between two steps."""

    def __init__(self, relay: Relay, runner: int) -> None:
        self.steps: list[dict[str, float]] = []  # seconds of each part, and of all
        self._parts: dict[str, float] = defaultdict(float)  # of the step at hand
        self._relay, self._runner = relay, runner
        self._begun = 0.0

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
            self._parts[part] += time.perf_counter() - begun

    def begin(self) -> None:
        """Wait for this one's turn; a step begins."""
        self._relay.wait(self._runner)
        self._parts.clear()
        self._begun = time.perf_counter()

    def end(self) -> None:
        """A step ends, and another trainer's begins."""
        self.steps.append({**self._parts, "all": time.perf_counter() - self._begun})
        self._relay.hand_on(self._runner)

    def callback(self) -> Any:
        """The trainer callback that divides the training into steps."""
        from transformers import TrainerCallback

        begin, end = self.begin, self.end

        class Divides(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
                end()
                if state.global_step < state.max_steps:
                    begin()

        return Divides()


class Judge:
    """The miniature judge, timed; of drafts, a fixed share is called unsafe where that is asked."""

    def __init__(self, selection: pa.Table, forced: bool) -> None:
        from qibox.grpo.judging import SelectionJudge
        from qibox.judges.load import load_judge

        self._judge = SelectionJudge(load_judge(load_manifest(JudgeManifest, "oracle")), selection)
        self._forced = forced
        self._size = 0  # rollouts of a step: as many texts are drafts, fewer are corrections

    def __call__(self, sample_ids: list[str], texts: list[str]) -> list[Any]:
        """Rate each text as a response to its sample."""
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
            "steps": WARM + given.steps + 1,  # of which the last is not counted either
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


def take_turns(trainers: list[Any], clocks: list[Clock]) -> None:
    """Train them all, a step of one after a step of the other; their first few are forgotten."""

    def train(trainer: Any, clock: Clock) -> None:
        clock.begin()
        trainer.train()

    with ThreadPoolExecutor(len(trainers)) as pool:
        for done in [pool.submit(train, *pair) for pair in zip(trainers, clocks, strict=True)]:
            done.result()
    for clock in clocks:
        del clock.steps[:WARM], clock.steps[-1:]  # at the end one trainer tidies as others work


def tell(name: str, steps: list[dict[str, float]]) -> None:
    """Print where a step goes, in ms; medians over steps."""
    found = {part: median(step.get(part, 0.0) for step in steps) for part in (*PARTS, "all")}
    print(f"{name}: " + ", ".join(f"{part} {1000 * value:.1f} ms" for part, value in found.items()))


def outside(step: dict[str, float]) -> float:
    """The share of a step that no part accounts for."""
    return 1 - sum(step.get(part, 0.0) for part in PARTS) / step["all"]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="of each trainer, beside the first")
    parser.add_argument("--prompts", type=int, default=4, help="of a step")
    parser.add_argument("--size", type=int, default=240, help="samples to draw prompts from")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Take turns and print."""
    settle()
    given = parse(arguments)
    from qibox.torchvision_ops import declare_missing_operators

    declare_missing_operators()
    names = ("plain TRL", "plain rollouts", "three of ten drafts corrected")
    relay = Relay(len(names))
    clocks = [Clock(relay, runner) for runner in range(len(names))]
    with tempfile.TemporaryDirectory() as folder:
        theirs, plain, reflect = (Path(folder, name) for name in "abc")
        trainers = [
            plain_trl(given, clocks[0], theirs),
            ours(given, "plain", clocks[1], plain),
            ours(given, "reflect", clocks[2], reflect),
        ]
        take_turns(trainers, clocks)
    for name, clock in zip(names, clocks, strict=True):
        tell(name, clock.steps)
    pairs = zip(clocks[1].steps, clocks[0].steps, strict=True)
    print(f"outside: {median(map(outside, clocks[2].steps)):.3f}")
    print(f"ratio: {median(own['all'] / bare['all'] for own, bare in pairs):.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
