"""How far the small judges agree with the oracle, and with each other: a table of docs/results.md.

The panel answers held-out scenes, `qibox score` has the oracle rate the answers, and `qibox judge`
has each small judge rate them again. What is there already is not made again, and the folder can be
asked with `qibox sql`.

    python benchmarks/judges.py /tmp/qibox-judges

Prints a row a judge: the share of responses it judged, whose safe flag and whose score (within 1
point) are the oracle's, its mean error and, for each flag, the share that is right. Then what each
judge costs, and, last, `error_correlation: VALUE`, Pearson's, of the two judges' errors.
"""

import argparse
import io
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import qibox
from qibox.cli.main import cli
from qibox.opened import OpenRun

JUDGES = ("grm-mini", "grm-mini-b")
WITHIN = 1 + 1e-9  # points
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
}
COLUMNS = (
    "judged",
    "safe right",
    "within 1",
    "mean error",
    "hallucination",
    "contradiction",
    "grounding gap",
)

PAIRED = """
from (select * from judgments where judge = '{judge}') j
join (select * from judgments where judge = 'oracle') o using (sample_id, model, k)
"""
AGREEMENT = f"""
select avg((j.score is not null)::int), avg((j.safe = o.safe)::int),
  avg((abs(j.score - o.score) <= {WITHIN})::int), avg(j.score - o.score),
  avg((j.hallucination = o.hallucination)::int), avg((j.contradiction = o.contradiction)::int),
  avg((j.grounding_gap = o.grounding_gap)::int)
{PAIRED}
"""
CORRELATION = f"""
select corr(a.error, b.error) from
  (select sample_id, model, k, j.score - o.score as error {PAIRED.format(judge="{a}")}) a join
  (select sample_id, model, k, j.score - o.score as error {PAIRED.format(judge="{b}")}) b
  using (sample_id, model, k)
"""


def qibox_command(*words: object) -> None:
    """Run one command line of qibox in this process; its tables are not shown."""
    with redirect_stdout(io.StringIO()):
        cli.main([str(word) for word in words], standalone_mode=False)


def make(folder: Path, limit: int, samples: int, judges: list[str]) -> dict[str, float]:
    """Make what is missing; gives back the seconds that each judge took."""
    asking = ["--limit", limit, "--samples-per-model", samples]
    qibox_command("score", "--pool", "mini-heldout", *asking, "--out", folder, "--quiet")
    seconds = {}
    for judge in judges:
        started = time.perf_counter()
        qibox_command("judge", folder, "--judge", judge, "--max-reject-rate", 1, "--quiet")
        seconds[judge] = time.perf_counter() - started
    return seconds


def show(run: OpenRun, judges: list[str]) -> None:
    """Print a row a judge."""
    print("| judge | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for judge in judges:
        (row,) = run.sql(AGREEMENT.format(judge=judge)).fetchall()
        cells = [
            "–" if value is None else f"{value:+.2f}" if name == "mean error" else f"{value:.1%}"
            for name, value in zip(COLUMNS, row, strict=True)
        ]
        print(f"| {judge} | " + " | ".join(cells) + " |")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a run; made here unless it is there")
    parser.add_argument("--judges", nargs=2, default=list(JUDGES), help="names or .yaml paths")
    parser.add_argument("--limit", type=int, default=300, help="held-out samples")
    parser.add_argument("--samples", type=int, default=5, help="answers of each model to each")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Make what is missing and print the table."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    given = parse(arguments)
    seconds = make(given.folder, given.limit, given.samples, given.judges)
    names = [Path(judge).stem for judge in given.judges]
    with qibox.open(given.folder) as run:
        show(run, names)
        texts = run.sql("select count(distinct (sample_id, text)) from responses").fetchall()[0][0]
        for judge, name in zip(given.judges, names, strict=True):
            print(f"{name}: {texts:,} different texts in {seconds[judge]:.0f} s")
        query = CORRELATION.format(a=names[0], b=names[1])
        (value,) = run.sql(query).fetchall()[0]
    print(f"error_correlation: {'none' if value is None else format(value, '.3f')}")


if __name__ == "__main__":
    main(sys.argv[1:])
