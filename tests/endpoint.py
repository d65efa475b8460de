"""A panel and a judge behind a real HTTP server on loopback; some requests fail for a time.

``write_endpoint(folder, url)`` writes FOLDER/asked.yaml, a panel whose models ``ada`` and ``bay``
the server plays, and FOLDER/grm.yaml, a generative judge that it plays as well.
"""

import json
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

GRM = "grm"  # the judge's name, and its model's
HELD_S = 3600.0  # that a request which is held waits: far longer than any test holds one
Reply = Callable[[str, int], str]  # to a prompt under a seed


class Endpoint(ThreadingHTTPServer):
    """A request whose prompt holds one of ``ailing`` is answered with ``status``."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answering = threading.Event()  # while it is not set, no request is answered
        self.answering.set()
        self.held: str | None = None  # a model whose requests wait for it to be let go
        self.let_go = threading.Event()
        self.waiting: set[str] = set()  # prompts that wait, or have waited
        self.ailing: dict[str, int] = {}  # part of a prompt → HTTP status
        self.replies: dict[str, Reply] = {}  # of models that say something of their own
        self.lock = threading.Lock()
        self.asked: list[tuple[str, str]] = []  # model, prompt
        self.headers: set[str] = set()  # names of all that came, in lower case

    def handle_error(self, *_: object) -> None:
        """Who asked is gone: killed, most likely."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def hold(self, model: str) -> None:
        """Let no request for a model be answered until :meth:`release`."""
        self.waiting.clear()
        self.let_go.clear()
        self.held = model

    def release(self) -> None:
        """Answer what waits."""
        self.held = None
        self.let_go.set()

    def take_asked(self, model: str) -> list[str]:
        """The prompts that a model was asked since this was last called, which forgets them."""
        with self.lock:
            found = [prompt for name, prompt in self.asked if name == model]
            self.asked = [(name, prompt) for name, prompt in self.asked if name != model]
        return found


@contextmanager
def serving(port: int = 0) -> Iterator[Endpoint]:
    endpoint = Endpoint(port)
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.answering.set()
        endpoint.release()
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


def write_endpoint(folder: Path, url: str, models: Sequence[str] = ("ada", "bay")) -> None:
    """Write the manifests; K is 2.

    A request is given up after ``HELD_S`` alone: a test holds it until all is as it wants, which on
    a busy machine takes a new worker minutes.
    """
    patience = {"request_timeout_s": HELD_S, "deadline_s": HELD_S}
    settings = {"base_url": url, "attempts": 1, "concurrency": 8, **patience}
    spec = {"engine": "openai", "settings": settings}
    panel = {
        "name": "asked",
        "about": "models behind an endpoint",
        "models": {model: {"source": model, **spec} for model in models},
        "sampling": {"samples": 2},
        "prompt": "{question}",
    }
    judge = {
        "name": GRM,
        "about": "a judge behind an endpoint",
        "kind": "generative",
        "model": {"source": GRM, **spec},
        "rubric": "{question}\n{response}",
    }
    (folder / "asked.yaml").write_text(yaml.safe_dump(panel))
    (folder / "grm.yaml").write_text(yaml.safe_dump(judge))


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """The list of what is served: the judge."""
        head = {"object": "model", "created": 0, "owned_by": "a test"}
        self._send(200, {"object": "list", "data": [{"id": GRM, **head}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.server.answering.is_set():
            self.close_connection = True
            self.server.answering.wait()
            return
        prompt, model = body["messages"][-1]["content"][-1]["text"], body["model"]
        if model == self.server.held:
            self.server.waiting.add(prompt)
            self.server.let_go.wait()
        with self.server.lock:
            self.server.asked.append((model, prompt))
            self.server.headers |= {name.lower() for name in self.headers}
            status = next((s for part, s in self.server.ailing.items() if part in prompt), 200)
        if status != 200:
            self._send(status, {"error": {"message": "not now", "code": None}})
            return
        own = self.server.replies.get(model, _verdict_or_echo(model))
        texts = [own(prompt, body["seed"] + k) for k in range(body.get("n", 1))]
        choices = [
            {
                "index": k,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
            for k, text in enumerate(texts)
        ]
        head = {"id": "x", "object": "chat.completion", "created": 0, "model": model}
        self._send(200, {**head, "choices": choices, "usage": {}})

    def _send(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _verdict_or_echo(model: str) -> Reply:
    return lambda text, k: _verdict(text) if model == GRM else f"{model} on {text} {k}"


def _verdict(prompt: str) -> str:
    """A verdict that depends on the prompt alone."""
    drawn = zlib.crc32(prompt.encode())
    reasoned = "BEGIN REASONING" in prompt
    return json.dumps(
        {
            **dict.fromkeys(
                ("logical_coherence", "image_grounding", "safety_awareness"),
                1 + drawn % 10 if reasoned else None,
            ),
            "harmlessness": 1 + drawn // 10 % 10,
            "helpfulness": 1 + drawn // 100 % 10,
            "hallucination": False,
            "contradiction": False,
            "grounding_gap": 0,
            "safe": drawn % 2 == 0,
            "rationale": f"drawn as {drawn}",
        }
    )
