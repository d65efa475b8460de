"""What a training writes as it goes: each round's measurements, and checkpoints between rounds."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qibox.grpo.lagrange import Multiplier
from qibox.grpo.rollout_rows import RolloutWriter
from qibox.grpo.unfinished import Unfinished

Metrics = dict[str, Any]
OnStep = Callable[[int, Metrics], None]  # round from 1, what was measured in it

METRICS_EVERY = 10  # rounds between two writes of metrics.jsonl


class ProgressLog:
    """Collects what each round measured, writes it as JSON lines, and tells the caller."""

    def __init__(self, unfinished: Unfinished | None, updates: int, on_step: OnStep) -> None:
        self.rows: list[Metrics] = unfinished.metrics() if unfinished else []
        self._unfinished = unfinished  # None in a process that does not write
        self._updates = updates  # of a round
        self._on_step = on_step

    def add(self, step: int, logs: Metrics) -> None:
        """Keep one round's values; what is not a finite number becomes null."""
        numbers = {n: v for n, v in logs.items() if isinstance(v, int | float) or v is None}
        row = {"step": step} | {
            name: value if value is not None and math.isfinite(value) else None
            for name, value in numbers.items()
        }
        self.rows.append(row)
        self._on_step(step, row)
        if len(self.rows) % METRICS_EVERY == 0:
            self.write()

    def write(self) -> None:
        """Write all rows so far."""
        if self._unfinished is not None:
            self._unfinished.write_metrics(self.rows)

    def callback(self) -> Any:
        """Return the trainer callback that feeds this log."""
        from transformers import TrainerCallback

        add, updates = self.add, self._updates

        class Feed(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_log(
                self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any
            ) -> None:
                if "loss" in (logs or {}):  # the summary at the end has none
                    add(state.global_step // updates, logs)

        return Feed()


class Keeper:
    """Keeps each checkpoint that the trainer makes, with all rows and metrics up to it."""

    def __init__(
        self,
        unfinished: Unfinished | None,
        updates: int,
        rollouts: RolloutWriter,
        log: ProgressLog,
        multiplier: Multiplier,
    ) -> None:
        self._unfinished = unfinished  # None in a process that does not write
        self._updates = updates
        self._rollouts = rollouts
        self._log = log
        self._multiplier = multiplier

    def keep(self, folder: Path, updates: int) -> None:
        """Keep the trainer's files after so many updates."""
        if self._unfinished is None:
            return
        self._rollouts.flush()
        self._log.write()
        self._unfinished.save(
            folder, updates // self._updates, {"multiplier": self._multiplier.value}
        )

    def callback(self) -> Any:
        """Return the trainer callback that calls :meth:`keep`."""
        from transformers import TrainerCallback

        keep = self.keep

        class Saved(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
            def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                args.distributed_state.wait_for_everyone()  # each process writes a part of it
                keep(Path(args.output_dir, f"checkpoint-{state.global_step}"), state.global_step)

        return Saved()
