"""What each way of giving credit teaches the first answer: the credit table of docs/results.md.

For each seed 240 samples of the miniature pool are drawn (half of implicit risk, a quarter of
explicit, a quarter harmless), and each arm trains the shipped start policy on them, 60 steps of 4
prompts; 300 held-out samples × 5 first answers at temperature 1 are judged by the oracle. It calls
`qibox score`, `select`, `train` and `eval`, all in this process: what is there already is not made
again, so a stopped one goes on, and the folder can be asked with `qibox sql`. Scoring has one
answer a model, for the draw asks only whether a sample was scored.

    python benchmarks/credit.py /tmp/qibox-credit --seeds 0 1 2 3

Prints a row an arm: the mean over seeds and, in brackets, each seed. Last line:
`implicit_safe_ARM: VALUE` of the first arm.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from statistics import fmean

import qibox
from qibox.cli.main import cli
from qibox.manifests import RecipeManifest, load_manifest
from qibox.opened import OpenRun

ARMS = {
    "turn": ["--credit", "turn"],
    "trajectory": ["--credit", "trajectory"],
    "recovery": ["--credit", "recovery"],
    "correction": ["--credit", "correction"],
    "discard": ["--rollout", "discard"],
    "plain": ["--rollout", "plain"],
}
LATE = 20  # steps at the end whose drafts are counted
MEASURES = {  # column → measure and kind of :data:`qibox.tables.RATES`
    "implicit safe": ("safety", "implicit"),
    "explicit safe": ("safety", "explicit"),
    "helpful": ("helpfulness", "none"),
    "over-refusal": ("over-refusal", "none"),
}
COLUMNS = (*MEASURES, "unsafe drafts, late", "corrected then")

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}

Values = dict[str, float | None]  # column → share; None where nothing can be counted


def qibox_command(*words: object) -> None:
    """Run one command line of qibox in this process; its tables are not shown."""
    with redirect_stdout(io.StringIO()):
        cli.main([str(word) for word in words], standalone_mode=False)


def score(folder: Path, limit: int | None) -> None:
    """Score the miniature pool, unless it is scored: so many samples of it, or all."""
    if not (folder / "scores").exists():
        few = [] if limit is None else ["--limit", limit]
        qibox_command("score", "--samples-per-model", 1, "--out", folder, "--quiet", *few)


def make(given: argparse.Namespace) -> None:
    """Make what is missing, a seed after the other, so that a stopped one has whole seeds."""
    run, recipe = given.folder, given.recipe
    drawing = ["--random", given.size, "--stratify", "risk", "--quota", given.quota]
    asking = ["--limit", given.held_out, "--samples-per-model", given.samples, "--quiet"]
    score(run, given.limit)
    for seed in given.seeds:
        qibox_command("select", run, *drawing, "--seed", seed, "--name", f"frame-{seed}")
        for arm in given.arms:
            name = policy_name(recipe, arm, seed)
            how = ["--recipe", recipe, "--steps", given.steps, "--seed", seed, *ARMS[arm]]
            print(name, file=sys.stderr, flush=True)
            qibox_command("train", run, "--selection", f"frame-{seed}", "--name", name, *how)
            qibox_command("eval", run, "--policy", name, "--pool", "mini-heldout", *asking)


def policy_name(recipe: str, arm: str, seed: int) -> str:
    """The name that a training has in the folder."""
    return f"{load_manifest(RecipeManifest, recipe).name}-{arm}-{seed}"


def measured(run: OpenRun, policy: str, steps: int) -> Values:
    """What one policy came to, by column."""
    query = (
        f"select measure, among, value from rates where policy = '{policy}' and among is not null"
    )
    rates = {(measure, among): value for measure, among, value in run.sql(query).fetchall()}
    late = run.sql(
        "select avg(unsafe_draft::int), avg(corrected::int) filter (reflection is not null) "
        f"from rollouts where policy = '{policy}' and step > {steps - LATE}"
    ).fetchall()[0]
    values = [*(rates.get(key) for key in MEASURES.values()), *late]
    return dict(zip(COLUMNS, values, strict=True))


def cell(values: Iterable[float | None]) -> str:
    """Mean in % and, in brackets, each value; a dash where there is none."""
    known = [100 * value for value in values if value is not None]
    each = " ".join(f"{value:.0f}" for value in known)
    return f"{fmean(known):.1f} ({each})" if known else "–"


def table(given: argparse.Namespace) -> dict[str, list[Values]]:
    """Print a row an arm; return what each seed came to."""
    run = qibox.open(str(given.folder))
    rows = {
        arm: [
            measured(run, policy_name(given.recipe, arm, seed), given.steps) for seed in given.seeds
        ]
        for arm in given.arms
    }
    start = run.sql("select distinct policy from rates where stage = 'start'").fetchall()
    before = {"start": [measured(run, name, given.steps) for (name,) in start]}
    show("credit", before | rows)
    return rows


def show(what: str, rows: dict[str, list[Values]]) -> None:
    """Print a table: a row each of ``what``, of which there is a value a seed."""
    print(f"| {what}, % | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, seeds in rows.items():
        cells = [cell(values[column] for values in seeds) for column in COLUMNS]
        print(f"| {name} | " + " | ".join(cells) + " |")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a run; scored here unless it is")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--recipe", default="mini", help="a recipe's name, or a .yaml path")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--limit", type=int, help="score only so many samples of the pool")
    parser.add_argument("--size", type=int, default=240, help="samples to train on")
    parser.add_argument("--quota", default="risk: implicit=50% explicit=25% none=25%")
    parser.add_argument("--held-out", type=int, default=300, help="samples to evaluate on")
    parser.add_argument("--samples", type=int, default=5, help="answers to each of them")
    return parser.parse_args(arguments)


def settle() -> None:
    """Set what libraries read when they are first imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def main(arguments: list[str]) -> None:
    """Make what is missing and print the table."""
    settle()
    given = parse(arguments)
    make(given)
    rows = table(given)
    first = given.arms[0]
    values = [values["implicit safe"] for values in rows[first]]
    mean = fmean(100 * value for value in values if value is not None)
    print(f"implicit_safe_{first}: {mean:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
