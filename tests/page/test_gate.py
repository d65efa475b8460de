import asyncio
from typing import Any

import pytest

from qibox.page.gate import COOKIE, Gate

TOKEN = "a-token"


def visited(path: str = "/", query: str = "", kind: str = "http", **headers: str) -> Any:
    """What a visit is answered first; the page behind the gate says 200."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def keep(message: Any) -> None:
        sent.append(message)

    async def nothing() -> None:
        return None

    given = {"host": "127.0.0.1:80", **headers}
    named = [(name.encode(), value.encode()) for name, value in given.items()]
    scope = {"type": kind, "path": path, "query_string": query.encode(), "headers": named}
    asyncio.run(Gate(page, TOKEN)(scope, nothing, keep))
    return sent[0]


def test_the_token_lets_in_once_by_address_and_then_by_cookie() -> None:
    first = visited(query=f"access_token={TOKEN}")
    assert first["status"] == 200
    headers = dict(first["headers"])
    assert b"HttpOnly; SameSite=Strict" in headers[b"set-cookie"]
    assert b"default-src 'self'" in headers[b"content-security-policy"]
    assert visited(cookie=f"{COOKIE}={TOKEN}")["status"] == 200


@pytest.mark.parametrize("query", ["", "access_token=", "access_token=a-tokem", "token=a-token"])
@pytest.mark.parametrize("path", ["/", "/assets/index.js", "/@file/1-a.png", "/api/version"])
def test_without_the_token_nothing_is_there(path: str, query: str) -> None:
    assert visited(path, query)["status"] == 403
    assert visited("/ws", query, kind="websocket")["type"] == "websocket.close"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:81"},
    ],
)
def test_other_sites_are_refused_even_with_the_token(headers: dict[str, str]) -> None:
    assert visited(query=f"access_token={TOKEN}", **headers)["status"] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/kernel/run",
        "/api/kernel/execute",
        "/api/files/open",
        "/api/export/html",
        "/public/../../etc/passwd",
        "/@file/../../etc/passwd",
        "/assets/../api/kernel/run",
        "/auth/login",
    ],
)
def test_what_a_page_that_reads_does_not_need_is_not_there(path: str) -> None:
    assert visited(path, f"access_token={TOKEN}")["status"] == 404
