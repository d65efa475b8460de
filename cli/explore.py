"""`qibox explore`: a run as a page in the browser."""

import click

from qibox.run.directory import DEFAULT_RUN


@click.command(short_help="Look at a run in the browser: move the box, open samples, compare.")
@click.argument("run", default=DEFAULT_RUN)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any that is free",
    help="Port on this machine.",
)
def command(run: str, port: int) -> None:
    """Serve a page of RUN on this machine, until Ctrl-C.

    The density of quality and instability with a box to drag, what it lets through and the command
    that selects it; its samples with pictures, answers and verdicts; models; training; SQL. The
    page only reads. It is reached from this machine alone, by the address that is printed.

    \b
    Example: qibox explore runs/mini
    """
    import getpass
    import socket
    import sys

    from qibox import stopping
    from qibox.cli import console
    from qibox.cli.flags import spelled
    from qibox.page.context import make_context
    from qibox.page.serve import HOST, bound, make_app, new_token, serve

    context = make_context(run, spelled)
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
