"""Serve the page of one run on this machine, until it is stopped."""

import asyncio
import contextlib
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from qibox.errors import UsageError
from qibox.page import boxes
from qibox.page.context import Context, put, take_back
from qibox.page.gate import App, Gate

if TYPE_CHECKING:
    from marimo._server.session_manager import SessionManager

HOST: Final = "127.0.0.1"
GRACE_S: Final = 2  # for requests that are being answered when the process is told to stop
APP: Final = Path(__file__).with_name("app.py")


def new_token() -> str:
    """What the address of the page holds so that nobody else finds it."""
    return secrets.token_urlsafe(24)


def make_app(context: Context, token: str) -> tuple[App, "SessionManager"]:
    """The page of a run as an ASGI app behind its gate, and what holds its visits."""
    import marimo

    put(context)
    # What a process draws first takes it a second: that is not to be a visitor's.
    boxes.axes(context, boxes.BY_NUMBER)
    boxes.histograms(context, context.first_box())
    builder = marimo.create_asgi_app(quiet=True, include_code=False, token=token)
    inner: Any = builder.with_app(path="", root=str(APP)).build()
    (mounted,) = inner.routes
    return Gate(inner, token), mounted.app.state.session_manager


def bound(port: int) -> socket.socket:
    """A socket of this machine alone; port 0 takes any that is free.

    Raises:
        UsageError: the port is taken.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as error:
        found.close()
        raise UsageError(
            f"port {port} cannot be used: {error.strerror}; 0 takes a free one", fields=["port"]
        ) from error
    return found


def serve(app: App, visits: "SessionManager", at: socket.socket) -> None:
    """Answer requests until the process is told to stop; then end the visits.

    The kernel of a visit waits in a thread for its next message: Python would wait for that thread
    for ever, unless the kernel is told to end.
    """
    import uvicorn

    config = uvicorn.Config(
        app, log_level="error", lifespan="off", timeout_graceful_shutdown=GRACE_S
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[at])
    kernels = [cast(Any, v)._kernel_manager.kernel_task for v in visits.sessions.values()]
    asyncio.run(visits.shutdown())
    for kernel in kernels:
        kernel.join(GRACE_S)
    take_back()
