"""A trainer at work: from its last checkpoint to its end, or to where a judge or an alarm ends it.

Feeds metrics.jsonl and the rollouts, keeps checkpoints and snapshots, asks the monitors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qibox.errors import QiboxError
from qibox.grpo.monitors.watch import OnAlarm, Watch
from qibox.grpo.progress_log import Keeper, Metrics, OnStep, ProgressLog
from qibox.grpo.rollout_rows import RolloutWriter
from qibox.grpo.step_judge import JudgeStoppedError
from qibox.grpo.unfinished import Unfinished
from qibox.manifests.monitors import Monitors


@dataclass(frozen=True)
class Conduct:
    """How a training is gone about; decides nothing of what is trained, unless an alarm ends it."""

    on_step: OnStep
    save_every: int  # rounds between two checkpoints; 0: none
    on_alarm: OnAlarm
    tell: Callable[[str], None]
    snapshot: Callable[[Any, list[Metrics]], Any]  # the callback that keeps snapshots


@dataclass(frozen=True)
class Learned:
    """What a training came to."""

    rows: list[Metrics]  # what each round measured
    rolled_back: dict[str, Any] | None = None  # to which step, and the alarm's sentence


def learn(
    trainer: Any,
    unfinished: Unfinished,
    rollouts: RolloutWriter,
    monitors: Monitors,
    conduct: Conduct,
) -> Learned:
    """Train from the last checkpoint, if there is one, to the end.

    Raises:
        JudgeStoppedError: the judge stopped answering; a checkpoint is kept then.
        QiboxError: an alarm ended it, and it was to stop then; likewise.
    """
    updates, scratch = trainer.num_iterations, Path(trainer.args.output_dir)
    writes = unfinished if trainer.accelerator.is_main_process else None
    found = of_main(writes.restore(scratch / "restored") if writes else None)
    if found is not None:
        trainer.multiplier.value = found[1]["multiplier"]
    log = ProgressLog(writes, updates, conduct.on_step)
    keeper = Keeper(writes, updates, rollouts, log, trainer.multiplier)
    watch = Watch(monitors, log.rows, writes, conduct.on_alarm, conduct.tell)
    for callback in (
        log.callback(),
        watch.callback(updates),
        conduct.snapshot(trainer, log.rows),
        keeper.callback(),
    ):
        trainer.add_callback(callback)
    try:
        trainer.train(resume_from_checkpoint=str(scratch / "restored") if found else None)
    except JudgeStoppedError as error:
        done = _kept(trainer, unfinished, conduct.save_every)
        says = _how_to_go_on(error, conduct.save_every, done)
        raise JudgeStoppedError(says, fields=["judge_at"] if done else []) from error
    finally:
        rollouts.flush()
        log.write()
    if watch.ended_by is None:
        return Learned(log.rows)
    if conduct.on_alarm == "stop":
        done = _kept(trainer, unfinished, conduct.save_every)
        raise QiboxError(_stopped(watch.ended_by, conduct.save_every, done))
    return _rolled_back(trainer, writes, watch, log)


def _kept(trainer: Any, unfinished: Unfinished, save_every: int) -> int:
    """Keep a checkpoint of what is learned so far, where any are kept; the rounds that are done."""
    done: int = trainer.state.global_step // trainer.num_iterations
    if save_every and done and of_main(unfinished.last_checkpoint()) != done:
        trainer.save_checkpoint()
    return done


def _rolled_back(
    trainer: Any, writes: Unfinished | None, watch: Watch, log: ProgressLog
) -> Learned:
    """Take the weights of the last checkpoint, and forget what came after it but the alarms.

    Raises:
        QiboxError: there is none.
    """
    sentence = watch.ended_by
    folder = Path(trainer.args.output_dir, "rolled-back")
    found = of_main(writes.restore(folder) if writes else None)
    if found is None:
        raise QiboxError(
            f"{sentence}: no checkpoint came before that to go back to, so nothing is kept: train "
            "with more frequent checkpoints",
            fields=["save_every"],
        )
    trainer._load_from_checkpoint(str(folder))
    log.rows[:] = [row for row in log.rows if row["step"] <= found[0]]
    log.write()
    watch.keep()
    return Learned(log.rows, {"step": found[0], "alarm": sentence})


def _how_to_go_on(error: JudgeStoppedError, save_every: int, done: int) -> str:
    """Say what is kept of a training that a judge ended, and what to do."""
    if save_every and done:
        return (
            f"{error}; a checkpoint after step {done} is kept: bring the judge back, and the same "
            "command, naming its place if it is elsewhere now, goes on from there"
        )
    return f"{error}; no step is kept: bring the judge back and give the same command again"


def _stopped(sentence: str, save_every: int, done: int) -> str:
    """Say what is kept of a training that an alarm ended."""
    if save_every:
        return (
            f"{sentence}; a checkpoint after step {done} is kept, and the same command goes on "
            "from there: this monitor has told what it had to"
        )
    return f"{sentence}; no step is kept: the same command begins anew"


def of_main(value: Any) -> Any:
    """The main process's value, in every process."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]
