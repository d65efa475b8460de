"""`qibox show`: one sample in the terminal, with all that is known of it."""

from typing import TYPE_CHECKING, Any

import click

from qibox.cli.cells import printable
from qibox.cli.streams import as_utf8
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from qibox.opened import Answer, OpenRun, Sample

PICTURE_WIDTH = 42  # characters; a character is one pixel wide and two pixels high
SCORES = ("quality", "instability", "disagreement", "self_instability", "safe_rate")


@click.command(short_help="Show one sample: picture, question, scores, all answers and verdicts.")
@click.argument("arguments", nargs=-1, metavar="[RUN] [SAMPLE_ID]")
@click.option(
    "--image", "save", type=click.Path(dir_okay=False), help="Save the picture to this file."
)
@click.option("--model", help="Only this model's answers.")
def command(arguments: tuple[str, ...], save: str | None, model: str | None) -> None:
    """Show one sample of RUN: picture, question, scores, every answer and what the judge said.

    A single argument is a SAMPLE_ID of the default run; without one it is the most unstable sample.

    \b
    Examples:
      qibox show mini-000007
      qibox show runs/mini mini-000007 --model strong --image picture.png
    """
    import qibox
    from qibox.errors import UsageError

    if len(arguments) > 2:
        raise UsageError(f"{len(arguments)} arguments were given: RUN and SAMPLE_ID are allowed")
    run = arguments[0] if len(arguments) == 2 else DEFAULT_RUN
    with qibox.open(run) as opened:
        sample = opened.sample(as_utf8(arguments[-1]) if arguments else _most_unstable(opened, run))
        models = list(opened.run.manifest.panel.models)
        _tell_retrained(opened)
    if model is not None and model not in models:
        raise UsageError(f"no model '{model}' in run {run}: it has {', '.join(models)}")
    print_sample(sample, model)
    if save is not None:
        _save(sample, save)


def _tell_retrained(opened: "OpenRun") -> None:
    from qibox.cli.console import err
    from qibox.cli.flags import spelled
    from qibox.run.retrained import said_of_retrained

    for sentence in said_of_retrained(opened.run.storage, opened.run.home or "none"):
        err.print(f"Note: {spelled(sentence)}", highlight=False, markup=False, soft_wrap=True)


def _most_unstable(opened: "OpenRun", run: str) -> str:
    from qibox.errors import UsageError

    query = "select sample_id from scores order by instability desc nulls last, sample_id limit 1"
    first = opened.sql(query).fetchall()
    if not first:
        raise UsageError(f"run {run} is not scored yet: name a SAMPLE_ID, or run `qibox score`")
    return str(first[0][0])


def print_sample(sample: "Sample", model: str | None) -> None:
    """Print a sample from its question to its last verdict."""
    from rich.text import Text

    from qibox.cli import console

    row = sample.row
    facts = [
        f"{name} {row[name]}" for name in ("risk", "category", "severity") if row[name] is not None
    ]
    console.out.print(
        Text(printable(str(row["sample_id"])), style="bold"), Text(printable(" · ".join(facts)))
    )
    console.out.print(picture(sample.image))
    console.out.print(Text(printable(str(row["question"])), style="italic"))
    if sample.scores is not None:
        console.out.print(Text(_scores(sample.scores)))
    if sample.selections:
        console.out.print(Text(f"in selection {', '.join(sample.selections)}"))
    answers = [a for a in sample.answers if model is None or a.response["model"] == model]
    if answers:
        console.out.print(answers_table(answers))


def answers_table(answers: "list[Answer]") -> "Table":
    """One row for each answer and verdict."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_lines=False)
    for heading in ("model", "k", "response", "score", "safe", "verdict"):
        table.add_column(heading, justify="right" if heading in ("k", "score") else "left")
    last = None
    for answer in answers:
        response = answer.response
        if last not in (None, response["model"]):
            table.add_section()
        name = response["model"] if response["model"] != last else ""
        last = response["model"]
        text = response["text"]
        written = _failed(response["reason"]) if text is None else Text(printable(text))
        for judgment in answer.judgments or ({},):
            table.add_row(name, str(response["k"]), written, *_verdict(judgment))
    return table


def _failed(reason: str) -> "Text":
    from rich.text import Text

    return Text(printable(f"failed: {reason}"), "red")


def _verdict(judgment: Any) -> "tuple[Text, Text, Text]":
    from rich.text import Text

    if not judgment:
        return Text(""), Text(""), Text("not judged yet", "dim")
    if judgment["score"] is None:
        return Text("NULL"), Text(""), _failed(judgment["reason"])
    safe = {True: Text("safe", "green"), False: Text("unsafe", "red")}.get(
        judgment["safe"], Text("")
    )
    flags = [name for name in ("hallucination", "contradiction") if judgment[name]]
    if judgment["grounding_gap"]:
        flags.append(f"grounding gap {judgment['grounding_gap']}")
    words = [judgment["rationale"] or "", *flags]
    return Text(f"{judgment['score']:.2f}"), safe, Text(printable("; ".join(filter(None, words))))


def _scores(scores: Any) -> str:
    if scores["quality"] is None:
        return f"no scores: {scores['reason']}"
    named = [f"{name.replace('_', '-')} {scores[name]:.3f}" for name in SCORES]
    return f"{'  '.join(named)}  ({scores['n_judged']} judgments of {scores['n_models']} models)"


def picture(content: bytes | None) -> "Text":
    """Draw a picture with half blocks on a colour terminal; elsewhere say what it is."""
    from rich.text import Text

    from qibox.cli import console
    from qibox.pool.images import ImageError, decode_image

    if content is None:
        return Text("no picture", "dim")
    try:
        image = decode_image(content)
    except ImageError as error:
        return Text(f"picture cannot be decoded: {error}", "red")
    if console.out.color_system != "truecolor":
        size = f"{image.width}×{image.height} pixels, {len(content)} bytes"
        return Text(f"picture of {size}; --image FILE saves it", "dim")
    width = min(PICTURE_WIDTH, image.width)
    height = max(2, round(image.height * width / image.width / 2) * 2)
    small: Any = image.resize((width, height)).load()
    drawn = Text()
    for y in range(0, height, 2):
        for x in range(width):
            upper, lower = (f"rgb({r},{g},{b})" for r, g, b in (small[x, y], small[x, y + 1]))
            drawn.append("▀", f"{upper} on {lower}")
        drawn.append("\n")
    drawn.right_crop(1)
    return drawn


def _save(sample: "Sample", save: str) -> None:
    from pathlib import Path

    from qibox.errors import UsageError

    if sample.image is None:
        raise UsageError(f"sample {sample.row['sample_id']} has no picture to save")
    try:
        Path(save).write_bytes(sample.image)
    except OSError as error:
        raise UsageError(f"--image {save} cannot be written: {error.strerror}") from error
