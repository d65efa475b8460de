"""Who is let in to the page: this machine, by the address with the token, to what a page needs.

Every request and web socket passes here first. A page of another site cannot reach it: the host
must be this machine's name, and a request that says from where it comes must come from here.
"""

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS: Final = ("127.0.0.1", "localhost", "::1")
COOKIE: Final = "qibox-page"
ALLOWED: Final = (  # what of marimo's server a page that is only read asks for
    "/assets/",
    "/@file/",
    "/ws",
    "/api/kernel/set_ui_element_value",
    "/api/kernel/function_call",
    "/api/version",
    "/health",
)
FILES: Final = ("", "/", "/favicon.ico", "/apple-touch-icon.png")
POLICY: Final = (  # nothing is fetched from elsewhere, whatever a cell holds
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; worker-src 'self' blob:; frame-src 'none'; object-src 'none'; "
    "form-action 'none'; base-uri 'self'; frame-ancestors 'none'"
)


class Gate:
    """An ASGI app in front of another, which lets in whoever has the token."""

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, refuse or pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        if not self._is_from_here(headers):
            await _refuse(scope, send, 403, "this page is reached from its own machine only")
        elif not self._has_token(scope, headers):
            await _refuse(scope, send, 403, "open the address that qibox explore printed")
        elif not _is_allowed(scope["path"]):
            await _refuse(scope, send, 404, "there is no such page")
        else:
            await self._app(scope, receive, self._marked(send))

    def _is_from_here(self, headers: dict[str, str]) -> bool:
        host = headers.get("host", "")
        if urlsplit(f"//{host}").hostname not in HOSTS:
            return False
        origin = headers.get("origin")
        return origin is None or urlsplit(origin).netloc == host

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("access_token", [])
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            found = None
        given += [found.value] if found is not None else []
        wanted = self._token.encode()
        return any(secrets.compare_digest(each.encode(), wanted) for each in given)

    def _marked(self, send: Send) -> Send:
        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                own = [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                    (b"x-content-type-options", b"nosniff"),
                    (b"set-cookie", cookie.encode()),
                ]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        return marked


def _is_allowed(path: str) -> bool:
    return path in FILES or (".." not in path and path.startswith(ALLOWED))


async def _refuse(scope: Scope, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{why}\n".encode()})
