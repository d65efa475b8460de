"""Serve the page of one run on this machine, until it is stopped."""

import contextlib
import secrets
import socket
from pathlib import Path
from typing import Final

from qibox.errors import UsageError
from qibox.page.context import Context, put
from qibox.page.gate import App, Gate

HOST: Final = "127.0.0.1"
APP: Final = Path(__file__).with_name("app.py")


def new_token() -> str:
    """What the address of the page holds so that nobody else finds it."""
    return secrets.token_urlsafe(24)


def make_app(context: Context, token: str) -> App:
    """The page of a run as an ASGI app behind its gate."""
    import marimo

    put(context)
    builder = marimo.create_asgi_app(quiet=True, include_code=False, token=token)
    inner: App = builder.with_app(path="", root=str(APP)).build()
    return Gate(inner, token)


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
            f"--port {port} cannot be used: {error.strerror}; 0 takes a free one"
        ) from error
    return found


def serve(app: App, at: socket.socket) -> None:
    """Answer requests until the process is told to stop."""
    import uvicorn

    config = uvicorn.Config(app, log_level="error", lifespan="off")
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[at])
