"""Messages between an engine's child process and its parent: a JSON head and an Arrow body.

Each message is the lengths of both (two big-endian unsigned 64-bit numbers), then head and body.
"""

import io
import json
import socket
import struct
import time
from typing import Any

import pyarrow as pa
import pyarrow.ipc

_LENGTHS = struct.Struct(">QQ")
_CHUNK = 1 << 20


class ClosedError(Exception):
    """The other side is gone."""


class SilentError(Exception):
    """The other side did not send or take anything in time."""


def send(link: socket.socket, head: dict[str, Any], table: pa.Table | None = None) -> None:
    """Send one message; the link's own timeout is the time for each piece of it.

    Raises:
        ClosedError, SilentError: the other side is gone, or takes nothing.
    """
    first = json.dumps(head).encode()
    body = b"" if table is None else _written(table)
    message = memoryview(_LENGTHS.pack(len(first), len(body)) + first + body)
    try:
        while message:
            message = message[link.send(message[:_CHUNK]) :]
    except TimeoutError as error:
        raise SilentError from error
    except OSError as error:
        raise ClosedError from error


def receive(
    link: socket.socket, seconds: float | None = None
) -> tuple[dict[str, Any], pa.Table | None]:
    """Wait for one message, at most ``seconds`` for it to be whole; None waits for ever.

    Raises:
        ClosedError, SilentError: the other side is gone, or silent for that long.
    """
    until = None if seconds is None else time.monotonic() + seconds
    first, body = _LENGTHS.unpack(_read(link, _LENGTHS.size, until))
    head: dict[str, Any] = json.loads(_read(link, first, until))
    data = _read(link, body, until)
    return head, pa.ipc.open_stream(data).read_all() if body else None


def _read(link: socket.socket, size: int, until: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        left = None if until is None else until - time.monotonic()
        if left is not None and left <= 0:
            raise SilentError
        link.settimeout(left)
        try:
            piece = link.recv(min(_CHUNK, size - len(data)))
        except TimeoutError as error:
            raise SilentError from error
        except OSError as error:
            raise ClosedError from error
        if not piece:
            raise ClosedError
        data += piece
    return bytes(data)


def _written(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()
