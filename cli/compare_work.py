"""The work of `qibox compare`: each trial's commands as processes, replicate by replicate.

`qibox select`, `train` and `eval` do it, so that what they leave can be gone on with by hand, and a
stopped comparison goes on where they do. What they say lands in comparisons/NAME/logs.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from qibox.errors import QiboxError

if TYPE_CHECKING:
    import pyarrow as pa

    from qibox.comparison.design import Replicate, Trial
    from qibox.manifests.comparison import ComparisonManifest
    from qibox.run.directory import Run

PROBE_STEPS = 3  # of the training that measures what a step costs
MOST_WORKERS = 4  # where there is no GPU; each training holds its own libraries


def work_off(
    kept_in: "Run",
    plan: "ComparisonManifest",
    replicates: "Sequence[Replicate]",
    runs: "dict[str, Run]",
    earlier: "pa.Table",
) -> None:
    """Select, train and evaluate what is missing.

    After each replicate but the last, if any was trained, the results so far are written.

    Raises:
        QiboxError: a command ended with another status than 0.
        StoppedError: the process is asked to end.
    """
    from qibox.cli.compare import results
    from qibox.cli.progress import counting

    with _logs(kept_in, plan) as logs:
        work = _Work(plan, runs, logs)
        total = len(plan.arms) * len(replicates)
        with counting("training", total) as advance, ThreadPoolExecutor(work.workers) as pool:
            try:
                begun = [
                    (each, [pool.submit(work.train, trial) for trial in work.trials(each)])
                    for each in replicates
                ]
                for replicate, trainings in begun:
                    for training in trainings:
                        advance(1, training.result())
                    work.evaluate(replicate)
                    if work.has_trained and replicate is not replicates[-1]:
                        results(kept_in, plan, list(replicates), runs, earlier)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                work.end()
                raise


@contextmanager
def probe(
    plan: "ComparisonManifest", replicate: "Replicate", runs: "dict[str, Run]"
) -> Iterator[None]:
    """Train the first arm for a few steps, and leave nothing of it behind after the block.

    Raises:
        QiboxError: a command ended with another status than 0.
    """
    from qibox.run.layout import policy_path, selection_path

    short = plan.model_copy(
        update={"name": f"{plan.name}-probe", "steps": PROBE_STEPS, "checkpoints": ()}
    )
    storage = runs[replicate.world.run].storage
    with tempfile.TemporaryDirectory(prefix="qibox-compare-") as scratch:
        work = _Work(short, runs, Path(scratch))
        trial = work.trials(replicate)[0]
        try:
            work.train(trial)
            yield
        finally:
            storage.remove(policy_path(trial.name))
            storage.remove(selection_path(trial.name))


class _Work:
    """Runs commands, each worker's on its own share of the machine."""

    def __init__(self, plan: "ComparisonManifest", runs: "dict[str, Run]", logs: Path) -> None:
        self._plan = plan
        self._runs = runs
        self._logs = logs
        self.has_trained = False
        self._ended = threading.Event()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._places: SimpleQueue[dict[str, str]] = SimpleQueue()
        places = _places(plan.workers)
        self.workers = len(places)
        for place in places:
            self._places.put(place)

    def trials(self, replicate: "Replicate") -> "list[Trial]":
        """The replicate's trials, in the order of the arms."""
        from qibox.comparison.design import trials_of

        return list(trials_of(self._plan, replicate))

    def train(self, trial: "Trial") -> str:
        """Choose and train, unless it is done; what the trial is called."""
        from qibox.run.finished import policy_names, selection_names

        world, plan = trial.replicate.world, self._plan
        storage, seed = self._runs[world.run].storage, str(trial.replicate.seed)
        if trial.name not in selection_names(storage):
            words = [*shlex.split(trial.arm.select), "--seed", seed, "--name", trial.name]
            self._do(trial.name, ["select", world.run, *words])
        policies = trial.policies(plan.checkpoints)
        if not set(policies) <= set(policy_names(storage)):
            words = ["--recipe", world.recipe or plan.recipe, *shlex.split(trial.arm.train)]
            words += ["--policy", world.policy] if world.policy is not None else []
            words += ["--steps", str(plan.steps)] if plan.steps is not None else []
            words += [f"--snapshot={step}" for step in plan.checkpoints]
            words += ["--selection", trial.name, "--name", trial.name, "--seed", seed]
            self._do(trial.name, ["train", world.run, *words])
            self.has_trained = True
        return trial.name

    def evaluate(self, replicate: "Replicate") -> None:
        """Evaluate all policies of a replicate; the last judges see only those of the last step."""
        plan = self._plan
        trials = self.trials(replicate)
        policies = [name for trial in trials for name in trial.policies(plan.checkpoints)]
        self._evaluate(replicate, policies, plan.judges)
        if plan.last_judges:
            self._evaluate(replicate, [trial.name for trial in trials], plan.last_judges)

    def _evaluate(
        self, replicate: "Replicate", policies: list[str], judges: tuple[str, ...]
    ) -> None:
        plan, world = self._plan, replicate.world
        words = ["eval", world.run, "--pool", world.pool or plan.pool, "--quiet"]
        words += ["--samples-per-model", str(plan.samples_per_model)]
        words += ["--limit", str(plan.limit)] if plan.limit is not None else []
        words += ["--start", world.policy] if world.policy is not None else []
        words += [word for judge in judges for word in ("--judge", judge)]
        words += [word for policy in policies for word in ("--policy", policy)]
        self._do(f"{plan.name}-eval-{replicate.seed}", words)

    def _do(self, log: str, words: list[str]) -> None:
        """Run one command, its words and what it says in a log."""
        from qibox.stopping import QUIET, check, on_stop

        if self._ended.is_set():
            return
        check()
        place, path = self._places.get(), self._logs / f"{log}.log"
        command = [sys.executable, "-P", "-m", "qibox.cli", *words]
        try:
            with path.open("a+b") as said:
                said.write(f"$ qibox {shlex.join(words)}\n".encode())
                said.flush()
                with on_stop(self.end):
                    process = subprocess.Popen(
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=said,
                        stderr=said,
                        env={**os.environ, **place, QUIET: "1"},
                        start_new_session=True,  # the terminal's Ctrl-C reaches it through us
                    )
                    self._processes.add(process)
                    status = process.wait()
                self._processes.discard(process)
        finally:
            self._places.put(place)
        check()
        if status:
            last = path.read_text(errors="replace").strip().splitlines()[-1]
            raise QiboxError(
                f"`qibox {words[0]} …` of {log} ended with status {status}: {last}; all it said is "
                f"in {path}, and the same command goes on from here"
            )

    def end(self) -> None:
        """Ask all commands that run to end, and begin no other."""
        self._ended.set()
        while self._processes:  # each once: a second signal would end it as it stands
            self._processes.pop().send_signal(signal.SIGTERM)


def _places(workers: int | None) -> list[dict[str, str]]:
    """Each worker's environment: a GPU of its own, or its share of the cores."""
    import torch

    gpus = torch.cuda.device_count()
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        cards = visible if visible != [""] else [str(card) for card in range(gpus)]
        return [{"CUDA_VISIBLE_DEVICES": cards[at % len(cards)]} for at in range(workers or gpus)]
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    count = workers or min(cores, MOST_WORKERS)
    return [{"OMP_NUM_THREADS": str(max(1, cores // count))}] * count


@contextmanager
def _logs(run: "Run", plan: "ComparisonManifest") -> Iterator[Path]:
    """Where commands' words go: into the comparison's folder where the run is on this machine."""
    from qibox.comparison.design import comparison_path

    if run.storage.is_local:
        folder = Path(run.storage.path(comparison_path(plan.name, "logs")))
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="qibox-compare-") as scratch:
        yield Path(scratch)
