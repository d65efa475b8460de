"""`qibox demo`: the whole idea on the miniature world, each step explained, each a command."""

import shlex

import click

from qibox.cli.called import called
from qibox.cli.commands import load_command
from qibox.cli.flags import naming_options
from qibox.run.directory import DEFAULT_RUN

STEPS = (
    (
        "score",
        "Seven vision-language models answer every picture and question five times, through an "
        "Apache Beam pipeline; a judge rates every answer; quality and instability of each sample "
        "land in Parquet.",
    ),
    (
        "select",
        "The QI-Box keeps the samples where the models waver: a band on quality, a minimum on "
        "instability.",
    ),
    (
        "train",
        "A policy is trained on them by GRPO: an unsafe draft is reflected on and corrected, and "
        "the final answer is rewarded.",
    ),
    (
        "eval",
        "The policy before and after, on held-out scenes it has never seen: by the judge that "
        "rewarded it, which knows the truth, and by a small model that judges independently.",
    ),
)

EVALUATED = 300  # held-out samples: enough to see the change; all of them take three times as long

# Command, its arguments after RUN, and what it shows.
FURTHER: tuple[tuple[str, list[str], str], ...] = (
    ("sql", ["select * from scores order by instability desc limit 5"], "where models waver"),
    (
        "sql",
        [
            "select model, risk, round(avg(score), 2) as score, round(avg(safe::int), 2) as safe "
            "from judgments join pool using (sample_id) group by all order by all"
        ],
        "who is weak where",
    ),
    ("show", ["mini-000000"], "one sample, all answers and verdicts"),
    (
        "sql",
        ["select draft, reflection, final from rollouts where reflection is not null limit 5"],
        "unsafe drafts and how they were corrected",
    ),
    ("status", [], "what is done, and why anything is missing"),
)


@click.command(short_help="See the whole idea work on the miniature world, in minutes.")
@click.option("--out", default=DEFAULT_RUN, show_default=True, help="Run directory to fill.")
@click.pass_context
def command(ctx: click.Context, out: str) -> None:
    """Score, select, train and evaluate on the miniature world, explaining each step.

    Needs no GPU, no network and no download. Stopped half-way, it goes on where it ended.

    \b
    Example: qibox demo
    """
    from qibox.cli import console

    arguments = {
        "score": ["--out", out],
        "select": [out, "--overwrite"],
        "eval": [out, "--limit", str(EVALUATED), "--judge", "oracle", "--judge", "grm-mini"],
    }
    for number, (name, explanation) in enumerate(STEPS, start=1):
        given = arguments.get(name, [out])
        console.heading(f"{number}/{len(STEPS)}  qibox {' '.join([name, *given])}", explanation)
        _run(ctx, name, given)
    console.heading("Look further", "Ask the run why: each line can be pasted as it stands.")
    for name, more, why in FURTHER:
        click.echo(f"  # {why}\n  {shlex.join([called(), name, out, *more])}")


def _run(ctx: click.Context, name: str, arguments: list[str]) -> None:
    """Run a sub-command exactly as the shell would."""
    sub = load_command(name)
    assert sub is not None, name
    with naming_options(name), sub.make_context(name, arguments, parent=ctx) as child:
        sub.invoke(child)
