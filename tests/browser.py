"""A headless Chromium, driven over its DevTools protocol: no node, no driver to install.

with Browser() as browser:
    browser.go("http://127.0.0.1:…")
    browser.wait("document.title")
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium")

# Elements that a function picks, those in shadow roots too.
DEEP = """(pick => { const found = []; const go = root => { for (const e of
root.querySelectorAll('*')) { if (pick(e)) found.push(e); if (e.shadowRoot) go(e.shadowRoot); } };
go(document); return found; })"""


class Browser:
    """One page of a browser of its own, with a profile that is thrown away."""

    def __init__(self, width: int = 1280, height: int = 1000) -> None:
        assert CHROMIUM is not None
        self._profile = tempfile.TemporaryDirectory(
            prefix="qibox-browser-", ignore_cleanup_errors=True
        )
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        flags += ["--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += [f"--user-data-dir={self._profile.name}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        said = Path(self._profile.name, "DevToolsActivePort")
        until(lambda: said.exists() and len(said.read_text().split()) == 2)
        port = said.read_text().split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (page,) = (t for t in json.load(answer) if t["type"] == "page")
        self._socket = connect(page["webSocketDebuggerUrl"], max_size=None)
        self._number = 0
        self.requests: list[str] = []  # every address that the page asked for
        self.call("Page.enable")
        self.call("Network.enable")
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(20)
        self._profile.cleanup()

    def processes(self) -> list[psutil.Process]:
        """All processes of the browser."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; what comes in between is kept or forgotten."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("method") == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]

    def go(self, address: str) -> None:
        """Open an address."""
        self.call("Page.navigate", url=address)

    def ask(self, script: str) -> Any:
        """What an expression comes to in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """What an expression comes to, once it is true."""
        return until(lambda: self.ask(script), seconds)

    def click(self, x: float, y: float) -> None:
        """Press and let go."""
        self.drag([(x, y)])

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Press at the first point, move over all, let go at the last."""
        (x, y), last = points[0], points[-1]
        mouse = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **mouse)
        for x, y in points[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, **mouse)
        x, y = last
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **mouse)

    def press(self, key: str) -> None:
        """Press a key by its name."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def seen(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


def click(browser: Browser, tag: str, words: str) -> None:
    """Click the first element of a tag that says something."""
    pick = f"{DEEP}(e => e.localName == '{tag}' && e.innerText.trim() == '{words}')[0]"
    place = browser.wait(
        f"(e => {{ if (!e) return null; e.scrollIntoView({{block: 'center'}}); "
        f"const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] }})"
        f"({pick})"
    )
    browser.click(*place)


def until(found: Any, seconds: float = 60) -> Any:
    """Ask again until the answer is true."""
    end = time.monotonic() + seconds
    while True:
        if value := found():
            return value
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
