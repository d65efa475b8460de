"""The account of a run in the terminal: what is to do, what was done, what is missing and why."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from qibox.cli import console

if TYPE_CHECKING:
    from qibox.run.directory import PoolIndex
    from qibox.run.storage import Storage
    from qibox.scoring.plan import Plan
    from qibox.scoring.shares import ModelShare
    from qibox.scoring.summary import Summary

REASONS = 12  # kinds of reasons shown
RECENT_S = 30.0  # a worker that told something since is at work


def print_plan(plan: "Plan", index: "PoolIndex", out: str) -> None:
    """The waves that would be done: units, and the calls they cost."""
    table = Table(title=f"to do in {escape(out)}: {index.samples:,} samples", title_justify="left")
    table.add_column("wave")
    for name in ("units", "done", "to do", "calls"):
        table.add_column(name, justify="right")
    for wave in plan.waves:
        done = len(wave.units) - len(wave.pending)
        row = (len(wave.units), done, len(wave.pending), wave.pending_rows)
        calls = f"{row[3]:,}" if wave.stage.asks else ""
        table.add_row(wave.name, f"{row[0]:,}", f"{row[1]:,}", f"{row[2]:,}", calls)
    console.out.print(table)
    console.out.print(
        "A judge's calls are an upper bound: equal texts on one sample are judged once."
    )
    if index.rejected:
        console.out.print(
            f"{index.rejected:,} of {index.read:,} rows of the pool would be refused; a run keeps "
            "the reason of each."
        )
    if plan.outdated:
        console.out.print(f"{len(plan.outdated)} files of another manifest would be set aside.")
    if plan.damaged:
        console.out.print(f"{len(plan.damaged)} damaged files would be set aside and made again.")


def print_summary(summary: "Summary", out: str) -> None:
    """Every stage's rows, what became of the rows read, and the reasons of those that failed."""
    table = Table(title=escape(out), title_justify="left")
    table.add_column("stage")
    for name in ("rows", "good", "failed", "to do"):
        table.add_column(name, justify="right")
    for stage in summary.stages:
        numbers = (stage.total, stage.good, stage.failed, stage.pending)
        table.add_row(stage.name, *(f"{number:,}" for number in numbers))
    console.out.print(table)
    lost = summary.not_scored
    parts = [f"{count:,} {name}" for name, count in lost.items()]
    more = f" ({', '.join(parts)})" if parts else ""
    kept = "scored" if summary.makes_scores else "samples"
    console.out.print(
        f"{summary.read:,} rows in = {summary.scored:,} {kept} + {sum(lost.values()):,} not "
        f"{kept}{more}",
        highlight=False,
        soft_wrap=True,
    )
    for stage in summary.stages:
        _print_reasons(stage.name, stage.reasons)
    _print_shares(summary.models)


def _print_shares(models: "Sequence[ModelShare]") -> None:
    """What share of each model's responses reasons, was cut off, was refused."""
    if not models:
        return
    table = Table(title="of a model's responses, %", title_justify="left")
    table.add_column("model")
    for name in ("reasoned", "cut off", "refused"):
        table.add_column(name, justify="right")
    for model in models:
        parts = (model.reasoned, model.cut_off, model.refused)
        table.add_row(model.model, *(f"{100 * part / max(1, model.rows):.1f}" for part in parts))
    console.out.print(table)
    if few := [model.model for model in models if model.too_few]:
        console.err.print(
            f"Warning: {', '.join(few)}: reasoning was asked for, and less than half of the "
            "responses show any; see `reasoning` of the model in its manifest, and "
            "sampling.max_tokens where thoughts were cut off",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def print_mended(summary: "Summary", retry: str | None) -> None:
    """How many of the failed rows that were asked again are there now, by stage."""
    asked = [stage for stage in summary.stages if stage.mended or stage.failed_again]
    for stage in asked:
        console.out.print(
            f"{stage.name}: {stage.mended:,} mended, {stage.failed_again:,} failed again",
            highlight=False,
        )
    if retry is not None and not asked:
        which = f" whose reason holds '{retry}'" if retry else ""
        console.out.print(f"no failed row{which} to ask again", highlight=False, markup=False)


def print_running(storage: "Storage", plan: "Plan") -> None:
    """The waves that workers told of in the last seconds, units they have begun included."""
    import time

    from qibox.scoring.progress import read_progress

    for wave in plan.waves:
        report = read_progress(storage, wave.name)
        if time.time() - report.at > RECENT_S:
            continue
        console.err.print(
            f"at work on {wave.name}: {report.rows:,} rows so far in this go, "
            f"{report.failed:,} of them failed",
            highlight=False,
        )


def similar(reasons: Mapping[str, int]) -> Counter[str]:
    """Counts by kind of reason: what is quoted and every number is left open."""
    kinds: Counter[str] = Counter()
    for reason, count in reasons.items():
        kinds[re.sub(r"\d+(\.\d+)?", "N", re.sub(r"'[^']*'", "'…'", reason))] += count
    return kinds


def _print_reasons(stage: str, reasons: Mapping[str, int]) -> None:
    kinds = similar(reasons) if len(reasons) > REASONS else Counter(reasons)
    for reason, count in kinds.most_common(REASONS):
        console.out.print(f"  {stage}: {count:,} × {reason}", highlight=False, markup=False)
    rest = kinds.total() - sum(count for _, count in kinds.most_common(REASONS))
    if rest:
        console.out.print(f"  {stage}: {rest:,} for {len(kinds) - REASONS} other reasons")
