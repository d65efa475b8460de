"""Seconds that choosing takes over a full-scale run, beyond the start of the process, by rank.

Choosing reads the written scores and the strata of the pool, resolves quantile edges, applies the
box, ranks and counts the mix; for the rank `trainee` also what a profile came to, as `qibox
profile` counts it at its end; the profile is made here, of verdicts on one member's answers.
Comparing pictures and copying the chosen ones into the shard are not part of it. It uses a run that
full_scale.py scored in the same folder.

Run: python benchmarks/select_scale.py /tmp/qibox-bench

A run's own note of its files' footers is what `qibox score` leaves; where a run was copied or is of
an earlier version, it is made here first.

Last line: seconds of the slowest rank but coverage, the median of its rounds.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import pyarrow as pa
from inputs import MODELS

from qibox.manifests import BoxManifest, load_manifest
from qibox.run.directory import Run
from qibox.run.layout import judgments_path
from qibox.run.units import digest
from qibox.scoring import footers
from qibox.scoring.kept_footers import keep_footers
from qibox.scoring.plan import Job, make_plan
from qibox.selection.choose import choose
from qibox.selection.frame import make_frame
from qibox.selection.request import OPEN_BOX, Request, Steering, at_random, by_box
from qibox.trainee.answered import answered

TRAINEE = "trainee"  # the name of the policy that is made up


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where full_scale.py put its run")
    parser.add_argument("--samples", type=int, default=159_000)
    parser.add_argument("--responses", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--coverage", type=int, default=10_000, help="0: not measured")
    arguments = parser.parse_args()
    place = arguments.folder / f"{arguments.samples}x{arguments.responses}" / "run"
    make_profile(Run.open(place))
    note_footers(Run.open(place))
    worst = 0.0
    for name, request in requests().items():
        seconds = []
        for _ in range(arguments.rounds):
            footers.hand_on()  # so that nothing is known of the run yet
            run = Run.open(place)
            started = time.perf_counter()
            choice = choose(run, request)
            seconds.append(time.perf_counter() - started)
        print(f"{name}: {len(choice.chosen):,} of {choice.scored:,} in {median(seconds):.2f} s")
        worst = max(worst, median(seconds))
    if arguments.coverage:
        seconds = coverage(place, arguments.coverage)
        print(f"coverage: {arguments.coverage:,} in {seconds:.1f} s beyond embedding")
    print(f"select: {worst:.2f}")


def requests() -> dict[str, Request]:
    """What is asked, by what it is called here."""
    box = load_manifest(BoxManifest, "qi-safe-10k")

    def ranked(rank: str, **steering: str) -> Request:
        changed = box.model_copy(update={"rank": rank})
        return by_box(changed, steering=Steering(**steering))

    frame = make_frame("risky,source", ["sqrt"])
    return {
        "instability": ranked("instability"),
        "safety-spread": ranked("safety-spread"),
        "trainee": ranked("trainee", policy=TRAINEE),
        "random in the box": ranked("random"),
        "random": at_random(10_000),
        "weights": ranked("instability", weights="disagreement - self_instability"),
        "where": ranked("instability", where="safe_rate < 0.9 and quality > 4"),
        "quotas": by_box(box, frame=frame, size=10_000),
    }


def coverage(place: Path, count: int) -> float:
    """Seconds of one choice by coverage out of all scored samples, without making vectors."""
    choose(Run.open(place), by_box(ranked_open(1)))  # so that pictures were looked at
    started = time.perf_counter()
    choice = choose(Run.open(place), by_box(ranked_open(count)))
    assert choice.embedded is not None, "coverage ranks"
    made, took = choice.embedded
    print(f"embedding: {made:,} samples, {made / took:,.0f} a second")
    return time.perf_counter() - started - took


def ranked_open(limit: int) -> BoxManifest:
    """The open box, so many of it by coverage."""
    return OPEN_BOX.model_copy(update={"rank": "coverage", "limit": limit})


def make_profile(run: Run) -> None:
    """Make a profile out of what the first member answered, unless it is there."""
    index, judge = run.pool_index(), run.manifest.judges[0].name
    assert index is not None, "the run is scored"
    for shard in range(len(index.keys)):
        path = f"profiles/{TRAINEE}/{judgments_path(judge, TRAINEE, shard)}"
        if run.storage.table_key(path) is not None:
            continue
        source = judgments_path(judge, MODELS[0], shard)
        table = run.storage.read_table(source)
        at = table.schema.get_field_index("model")
        renamed = table.set_column(at, "model", pa.repeat(TRAINEE, len(table)))
        key = digest({"model": TRAINEE, "of": run.storage.table_key(source)})
        run.storage.write_table(path, renamed, key)
    answered(run, TRAINEE, judge)


def note_footers(run: Run) -> None:
    """Note what the footers of a scored run's files tell, as closing its scoring does."""
    index = run.pool_index()
    assert index is not None, "the run is scored"
    keep_footers(run.storage, run.home, make_plan(Job(run, index)).footers)


if __name__ == "__main__":
    main()
