"""`qibox explore`: a run as a page in the browser."""

from typing import TYPE_CHECKING

import click

from qibox.cli.plot import write
from qibox.run.directory import DEFAULT_RUN

if TYPE_CHECKING:
    from qibox.page.context import Context


@click.command(short_help="Look at a run in the browser: move the box, open samples, compare.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    help="Port on this machine.",
)
@click.option(
    "--export", "file", metavar="FILE.html", help="Write a report of RUN as one file, and end."
)
@click.option("--redact", is_flag=True, help="Of --export: leave out pictures, texts and ids.")
def command(run: str, port: int, file: str | None, redact: bool) -> None:
    """Serve a page of RUN on this machine, until Ctrl-C.

    The density of quality and instability with a box to drag, what it lets through and the command
    that selects it; its samples with pictures, answers and verdicts; models; training; SQL. The
    page only reads. It is reached from this machine alone, by the address that is printed.

    With --export it writes a report instead, for people who do not have the run: one file under
    5 MB that opens anywhere, without network.

    \b
    Examples:
      qibox explore runs/mini
      qibox explore runs/mini --export report.html --redact
    """
    import getpass
    import socket
    import sys

    from qibox import stopping
    from qibox.cli import console
    from qibox.cli.flags import spelled
    from qibox.page.context import make_context
    from qibox.page.serve import HOST, bound, make_app, new_token, serve

    check_export(file, redact)
    context = make_context(run, spelled)
    if file is not None:
        export(context, file, redact)
        return
    token, at = new_token(), bound(port)
    taken = at.getsockname()[1]
    app, visits = make_app(context, token)
    lines = (
        f"http://{HOST}:{taken}/?access_token={token}",
        "From another machine, first: "
        f"ssh -N -L {taken}:{HOST}:{taken} {getpass.getuser()}@{socket.gethostname()}",
        "Ctrl-C ends it.",
    )
    for line in lines:
        console.out.print(line, highlight=False, markup=False, soft_wrap=True)
    serve(app, visits, at)
    if stopping.asked():
        sys.exit(stopping.exit_status())


def check_export(file: str | None, redact: bool) -> None:
    """Whether a report can be what was asked for.

    Raises:
        UsageError: it is to be redacted and not written, or it would not be called HTML.
    """
    from qibox.errors import UsageError

    if file is None and redact:
        raise UsageError("--redact is of --export FILE.html: the page itself shows everything")
    if file is not None and not file.lower().endswith((".html", ".htm")):
        raise UsageError(f"--export {file} is no page's name: end it in .html")


def export(context: "Context", file: str, redact: bool) -> None:
    """Write the report and say how large it is."""
    from qibox.cli import console
    from qibox.page.report import report

    content = report(context, redact).encode()
    write(file, content, "--export")
    console.out.print(
        f"wrote {file} ({len(content) / 1e6:.1f} MB)",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
