"""A hub on loopback: the part of the hub's own API that fetching a model takes, over real folders.

``serving_hub({"owner/name": folder})`` serves each folder as a repository of one commit.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
GATED = "owner/gated"  # a model that asks for consent to its licence
_INFO = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)/revision/(?P<revision>.+)")
_TREE = re.compile(r"/api/models/(?P<id>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)/?")
_FILE = re.compile(r"/(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<name>.+)")


class Hub(ThreadingHTTPServer):
    """Serves folders."""

    daemon_threads = True

    def __init__(self, models: Mapping[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.models = dict(models)
        self.sent: list[str] = []  # names of the files whose bytes were asked for

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving_hub(models: Mapping[str, Path]) -> Iterator[Hub]:
    hub = Hub(models)
    thread = threading.Thread(target=hub.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        found = next((m for p in (_INFO, _TREE, _FILE) if (m := p.fullmatch(path))), None)
        folder = self.server.models.get(found["id"]) if found else None
        if found is not None and found["id"] == GATED:
            self._reply(403, b"{}", {"X-Error-Code": "GatedRepo"}, body=body)
        elif found is None or folder is None:
            self._reply(404, b"{}", {"X-Error-Code": "RepoNotFound"}, body=body)
        elif found["revision"] not in ("main", COMMIT):
            self._reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"}, body=body)
        elif found.re is _INFO:
            siblings = [{"rfilename": name} for name in _files(folder)]
            self._json({"id": found["id"], "sha": COMMIT, "siblings": siblings})
        elif found.re is _TREE:
            listed = (
                {"type": "file", "path": name, "size": len(content), "oid": _hash(content)}
                for name, content in _files(folder).items()
            )
            self._json(list(listed))
        else:
            self._file(folder, found["name"], body=body)

    def _file(self, folder: Path, name: str, *, body: bool) -> None:
        content = _files(folder).get(name)
        if content is None:
            self._reply(404, b"{}", {"X-Error-Code": "EntryNotFound"}, body=body)
            return
        if body:
            self.server.sent.append(name)
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{_hash(content)}"'}
        self._reply(200, content, headers, body=body)

    def _json(self, content: object) -> None:
        self._reply(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _reply(
        self, status: int, content: bytes, headers: Mapping[str, str], *, body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
