"""The options that say what a scoring is of: pool, panel, judges, how many."""

from typing import Any

import click

from qibox.cli.values import COUNT, SAMPLES, SEED
from qibox.cli.wave_options import ENGINES, judge_at_option

COLUMNS = {  # option → the column of a file given as --pool that it names
    "question_column": "question",
    "image_column": "image",
    "id_column": "sample_id",
    "category_column": "category",
    "severity_column": "severity",
    "risk_column": "risk",
}

_JOB = (
    click.option(
        "--pool", default="mini", show_default=True, help="Manifest, file or data directory."
    ),
    click.option(
        "--panel", default="mini", show_default=True, help="Panel's name, or a .yaml path."
    ),
    click.option(
        "--judge",
        "judges",
        multiple=True,
        help="Judge's name, or a .yaml path; may be repeated: the first one's scores count.  "
        "[default: oracle on the miniature pools, grm on any other]",
    ),
    judge_at_option,
    click.option("--models", metavar="A,B", help="Only these models of the panel."),
    click.option("--engine", type=click.Choice(ENGINES), help="Engine of every model."),
    click.option(
        "--replay", metavar="PATH", help="Play recorded responses instead of asking models."
    ),
    click.option("--samples-per-model", type=SAMPLES, help="K, responses a model and sample."),
    click.option("--limit", type=COUNT, help="Take this many samples of the pool."),
    click.option("--seed", type=SEED, help="Seed of all sampling noise."),
    click.option(
        "--images", metavar="PATH", help="Folder or zip that a --pool file's images are under."
    ),
)


def job_options(command: Any) -> Any:
    """Add them, and one option for each column of a file that can be named."""
    for option, column in reversed(COLUMNS.items()):
        flag = f"--{option.replace('_', '-')}"
        text = f"Column of the file given as --pool that holds the {column}; none: no column."
        command = click.option(flag, metavar="NAME", help=text)(command)
    for add in reversed(_JOB):
        command = add(command)
    return command
