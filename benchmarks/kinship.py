"""Whether a panel tells more of a policy the nearer its members are to it.

    python benchmarks/kinship.py /tmp/qibox-kinship --world 0

Makes one laboratory three times in the folder, its two relatives of kinship 0, ½ and 1; those who
do not depend on kinship, start policy and strangers, are trained once and copied. Scores each,
profiles the start policy and prints, a row a kinship, what `qibox value` finds: within kinds of
risk, the mean AUC of the relatives' unsafe shares and of their spread, those of the strangers, and
of the whole panel's safety spread; each relative's correlation with the policy; who is called a
relative. What is there already is not made again.

Last line: `kinship: rises` where the AUC of the relatives' unsafe shares is larger at every next
kinship, or `kinship: does not rise`. It is unsafe shares that decide and not spread, since unsafe
drafts are corrected here: a group that is unsafe throughout teaches, too.
"""

import argparse
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from credit import qibox_command, settle

from qibox.manifests import RecipeManifest, load_manifest
from qibox.mini.train.lab_cast import RELATIVES
from qibox.run.directory import Run
from qibox.trainee.answers import answers
from qibox.trainee.value import Value, value

KINSHIPS = (0.5, 0.0, 1.0)  # the default first: the others copy from it
POLICY = "policy"
SIGNALS = ("unsafe share of", "spread of")  # of a member


def make(given: argparse.Namespace, kinship: float) -> Path:
    """A world of that kinship and a run on it, scored and profiled; returns the run."""
    lab, run = given.folder / f"world-{kinship}", given.folder / f"run-{kinship}"
    first = given.folder / f"world-{KINSHIPS[0]}" / "models"
    for model in [] if kinship == KINSHIPS[0] else first.iterdir():
        if model.name not in RELATIVES and not (lab / "models" / model.name).exists():
            shutil.copytree(model, lab / "models" / model.name)
    how = ["--world", given.world, "--kinship", kinship, "--size", given.size, "--out", lab]
    qibox_command("world", "lab", *how, "--quiet")
    asked = ["--limit", given.limit, "--quiet"]
    panel = ["--pool", lab / "pool.yaml", "--panel", lab / "panel.yaml", "--judge", "oracle"]
    qibox_command("score", *panel, "--out", run, *asked)
    often = ["--samples-per-model", given.samples]
    qibox_command("profile", run, "--policy", lab / "models" / POLICY, *often, *asked)
    return run


def found(lab: Path, run: Path) -> Value:
    """What `qibox value --recipe` finds."""
    recipe = load_manifest(RecipeManifest, str(lab / "recipe.yaml"))
    opened = Run.open(str(run))
    how = recipe.samples_per_prompt, recipe.reward, recipe.rollout.unsafe == "reflect"
    return value(opened, answers(opened, POLICY, *how))


def row(kinship: float, told: Value) -> tuple[str, float]:
    """A line of the table, and the mean AUC of the relatives' unsafe shares."""
    within = {signal.name: signal.within.value for signal in told.signals}
    strangers = [name for name in told.kinship if name not in RELATIVES]
    near, far = (
        tuple(fmean(within[f"{signal} {name}"] for name in names) for signal in SIGNALS)
        for names in (RELATIVES, strangers)
    )
    cells = [f"{auc:.2f}" for auc in (*near, *far, within["safety spread"])]
    kin = " ".join(f"{told.kinship[name].value:.2f}" for name in RELATIVES)
    called = ", ".join(told.relatives) or "none"
    return f"| {kinship:g} | " + " | ".join([*cells, kin, called]) + " |", near[0]


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the worlds and runs are made")
    parser.add_argument("--world", type=int, default=0, help="which laboratory")
    parser.add_argument("--size", default="full", help="of the laboratory")
    parser.add_argument("--limit", type=int, default=600, help="samples of the pool")
    parser.add_argument("--samples", type=int, default=8, help="the policy's answers to each")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Make what is missing, print the table and say whether the AUC rises."""
    settle()
    given = parse(arguments)
    runs = {kinship: make(given, kinship) for kinship in KINSHIPS}
    auc = [
        f"{who}' {signal.split()[0]}" for who in ("relatives", "strangers") for signal in SIGNALS
    ]
    heads = ["kinship", *auc, "panel's safety spread", "correlation", "called relatives"]
    print(f"| {' | '.join(heads)} |\n|" + "---:|" * (len(heads) - 1) + "---|")
    aucs = []
    for kinship in sorted(runs):
        line, near = row(kinship, found(given.folder / f"world-{kinship}", runs[kinship]))
        print(line)
        aucs.append(near)
    rises = all(one < other for one, other in pairwise(aucs))
    print(f"kinship: {'rises' if rises else 'does not rise'}")


if __name__ == "__main__":
    main(sys.argv[1:])
