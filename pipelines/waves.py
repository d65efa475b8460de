"""A wave as a Beam pipeline: Create(shards) | Reshuffle | DoUnits, run to its end.

Elements are the pending units of one shard; the data stays columnar inside the step. What a model
needs of a machine goes to the runner as resource hints on the step.
"""

import io
import logging
import os
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

from qibox.engines.base import Engine
from qibox.errors import UsageError
from qibox.judges.base import Judge
from qibox.manifests.panel import Accelerator
from qibox.pipelines.worker import DoUnits, Work
from qibox.run.directory import Run
from qibox.run.storage import Storage
from qibox.run.units import Unit
from qibox.scoring.aggregate import Scoring, score_unit
from qibox.scoring.generate import BLIND_ENGINES, Asking, generate_unit
from qibox.scoring.judge import Judging, judge_shard
from qibox.scoring.plan import Wave
from qibox.scoring.progress import UnitReport

UNMODELLED_JUDGES = {"oracle", "replay", "hash"}  # hold no model: threads may share one


@dataclass(frozen=True)
class GenerateWork:
    """A panel model answers."""

    asking: Asking
    allow_remote_code: bool = False

    @property
    def concurrent(self) -> bool:
        """Only replay is used by several threads at once; an endpoint's bound is on one call."""
        return self.asking.panel.models[self.asking.model].engine in BLIND_ENGINES

    def load(self) -> Engine:
        """Start the model's engine."""
        from qibox.engines.load import load_engine

        model = self.asking.model
        spec = self.asking.panel.models[model]
        return load_engine(model, spec, allow_remote_code=self.allow_remote_code)

    def run(
        self, tool: Engine, storage: Storage, units: tuple[Unit, ...], report: UnitReport
    ) -> None:
        """Write the shard's responses."""
        for unit in units:
            generate_unit(storage, unit, self.asking, tool, report)


@dataclass(frozen=True)
class JudgeWork:
    """A judge rates."""

    judging: Judging
    allow_remote_code: bool = False

    @property
    def concurrent(self) -> bool:
        """Only judges that hold no model are used by several threads at once."""
        return self.judging.judge.kind in UNMODELLED_JUDGES

    def load(self) -> Judge:
        """Start the judge."""
        from qibox.judges.load import load_judge

        return load_judge(self.judging.judge, allow_remote_code=self.allow_remote_code)

    def run(
        self, tool: Judge, storage: Storage, units: tuple[Unit, ...], report: UnitReport
    ) -> None:
        """Write the shard's judgments."""
        judge_shard(storage, units, self.judging, tool, report)


class NoTool:
    """Scores need neither engine nor judge."""

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class ScoreWork:
    """Judgments become scores."""

    scoring: Scoring
    concurrent: bool = True

    def load(self) -> NoTool:
        """Nothing needs starting."""
        return NoTool()

    def run(
        self, tool: NoTool, storage: Storage, units: tuple[Unit, ...], report: UnitReport
    ) -> None:
        """Write the shard's scores."""
        for unit in units:
            score_unit(storage, unit, self.scoring, report)


def make_work(run: Run, wave: Wave, allow_remote_code: bool = False) -> Work[Any]:
    """What a wave's workers do."""
    panel = run.manifest.panel
    k = panel.sampling.samples
    if wave.stage == "responses":
        return GenerateWork(Asking(wave.units[0].model, panel), allow_remote_code)
    if wave.stage == "judgments":
        judge = next(j for j in run.manifest.judges if j.name == wave.units[0].judge)
        return JudgeWork(Judging(judge, tuple(panel.models), k), allow_remote_code)
    judge = run.manifest.judges[0]
    return ScoreWork(
        Scoring(judge.name, tuple(panel.models), k, panel.min_models, panel.min_responses)
    )


def wave_accelerator(run: Run, wave: Wave) -> Accelerator | None:
    """What the wave's model needs of the machine that runs it."""
    if wave.stage == "responses":
        return run.manifest.panel.models[wave.units[0].model].accelerator
    if wave.stage == "judgments":
        judge = next(j for j in run.manifest.judges if j.name == wave.units[0].judge)
        return judge.model.accelerator if judge.model is not None else None
    return None


def resource_hints(accelerator: Accelerator | None) -> dict[str, str]:
    """Beam's resource hints for what a model needs; a runner without such machines ignores them."""
    if accelerator is None:
        return {}
    hints = {}
    if accelerator.type is not None:
        count = f"count:{accelerator.count}"
        hints["accelerator"] = f"type:{accelerator.type};{count};install-nvidia-driver"
    if accelerator.min_ram_gb is not None:
        hints["min_ram"] = f"{accelerator.min_ram_gb}GB"
    return hints


def build(pipeline: beam.Pipeline, run: Run, wave: Wave, work: Work[Any]) -> None:
    """Put a wave's steps into a pipeline."""
    step = beam.ParDo(DoUnits(work, run.storage.url, wave.name))
    (
        pipeline
        | "Shards" >> beam.Create(wave.shards())
        | "Spread" >> beam.Reshuffle()
        | wave.name >> step.with_resource_hints(**resource_hints(wave_accelerator(run, wave)))
    )


def run_wave(run: Run, wave: Wave, work: Work[Any], options: Sequence[str]) -> None:
    """Run a wave's pipeline to its end; without ``--runner`` in this process.

    Raises:
        UsageError: a Beam option that is unknown or does not hold.
        Exception: what Beam raises when a step fails.
    """
    pipeline = beam.Pipeline(**_runner(work, list(options)))
    build(pipeline, run, wave, work)
    result = pipeline.run()
    try:
        result.wait_until_finish()
    except KeyboardInterrupt:
        result.cancel()
        raise


def _runner(work: Work[Any], options: list[str]) -> dict[str, Any]:
    parsed = parse_options(options)
    if parsed.view_as(StandardOptions).runner is not None:
        return {"options": parsed}
    workers = os.cpu_count() or 1
    if work.concurrent and workers > 1 and not any("direct_" in option for option in options):
        threads = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"]
        parsed = parse_options([*options, *threads])
    return {"options": parsed, "runner": FnApiRunner()}


def parse_options(options: Sequence[str]) -> PipelineOptions:
    """Check Beam's own options; a runner of another kind may know more than Beam does.

    Raises:
        UsageError: one that Beam does not know, or whose value does not hold.
    """
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            parsed = PipelineOptions(list(options))
            known = parsed.get_all_options(drop_default=True)
            every = parsed.get_all_options(drop_default=True, retain_unknown_options=True)
    except SystemExit as error:  # argparse's way to refuse a value
        said = complaint.getvalue().rpartition("error: ")[2].strip()
        raise UsageError(f"Beam refuses the options after --: {said}") from error
    unknown = sorted(set(every) - set(known))
    if unknown and "runner" not in known:
        raise UsageError(
            f"Beam knows no option {', '.join(unknown)}: what comes after -- is for Beam, e.g. "
            "`-- --runner=PortableRunner --job_endpoint=HOST:PORT`"
        )
    return parsed


def quiet_beam() -> None:
    """Beam's workers tell of every step, and tell of each error what the error itself says."""
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
