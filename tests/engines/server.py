"""A real HTTP server on loopback that speaks the chat completions protocol, and misbehaves.

What a prompt's text says is what happens to its request; "FAULT N" stops after N attempts.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint(ThreadingHTTPServer):
    """Answers "text#seed" for each choice; ``honours_n`` says whether it knows n."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, honours_n: bool = True, refuses_n: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.honours_n = honours_n
        self.refuses_n = refuses_n
        self.lock = threading.Lock()
        self.attempts: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.released = threading.Event()
        self.busy = 0
        self.most_busy = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def serving(**options: bool) -> Iterator[Endpoint]:
    endpoint = Endpoint(**options)
    thread = threading.Thread(target=endpoint.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.released.set()
        endpoint.shutdown()
        endpoint.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"][-1]["text"]
        with self.server.lock:
            self.server.attempts[text] += 1
            attempt = self.server.attempts[text]
            self.server.bodies.append(body)
            self.server.keys.add(self.headers["Authorization"])
            self.server.busy += 1
            self.server.most_busy = max(self.server.most_busy, self.server.busy)
        try:
            self._answer(body, text, attempt)
        finally:
            with self.server.lock:
                self.server.busy -= 1

    def _answer(self, body: dict[str, Any], text: str, attempt: int) -> None:
        fault, _, times = text.partition(" ")
        if times.isdigit() and attempt > int(times):
            fault = "fine"
        if fault == "slow":
            time.sleep(0.3)
        if fault == "never":
            self.server.released.wait(60)
            self.close_connection = True
        elif fault == "400long":
            self._send(400, {"error": {"message": "x" * 195 + "sk-secret", "code": None}})
        elif fault.isdigit():
            self._send(int(fault), {"error": {"message": f"said {fault}, sk-secret", "code": None}})
        elif fault == "cut":
            self._headers(200, 5000)
            self.wfile.write(b'{"id": "x", "choi')
            self.close_connection = True
        elif fault == "closed":
            self.close_connection = True
        elif fault == "garbage":
            self._raw(200, b"<html>not JSON</html>")
        elif fault == "halfjson":
            self._raw(200, b'{"id": "x", "choices": [')
        elif fault == "empty":
            self._send(200, {"id": "x", "object": "chat.completion", "choices": []})
        elif fault == "shape":
            self._send(200, {"hello": "world"})
        elif self.server.refuses_n and body.get("n", 1) > 1:
            self._send(400, {"error": {"message": "n > 1 is not supported", "param": "n"}})
        else:
            self._send(200, self._completion(body, text, fault))

    def _completion(self, body: dict[str, Any], text: str, fault: str) -> dict[str, Any]:
        n = body.get("n", 1) if self.server.honours_n else 1
        finish = {
            "thinking": "length",
            "long": "length",
            "filtered": "content_filter",
            "tool": "tool_calls",
        }
        choices = []
        for k in range(n):
            message: dict[str, Any] = {"role": "assistant", "content": f"{text}#{body['seed'] + k}"}
            if fault in ("thinks", "thinking"):
                message["reasoning"] = "because"
            if fault in ("tool", "thinking"):
                message["content"] = None
            if fault == "surrogate":
                message["content"] = "half a pair \ud800"
            reason = finish.get(fault, "stop")
            choices.append({"index": k, "message": message, "finish_reason": reason})
            if fault == "nomessage":
                choices[-1]["message"] = None
        counts = {"prompt_tokens": 7, "completion_tokens": 3 * n, "total_tokens": 7 + 3 * n}
        usage = {"nousage": {}, "wordusage": "none"}.get(fault, counts)
        head = {"id": "x", "object": "chat.completion", "created": 0, "model": body["model"]}
        return {**head, "choices": choices, "usage": usage}

    def _send(self, status: int, content: dict[str, Any]) -> None:
        self._raw(status, json.dumps(content).encode())

    def _raw(self, status: int, data: bytes) -> None:
        self._headers(status, len(data))
        self.wfile.write(data)

    def _headers(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()
