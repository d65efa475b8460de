"""An S3-compatible store on loopback, with every request that it was asked, and none if it is told.

``storing()`` serves it and sets the environment as a person does who uses one; what is started
meanwhile finds it too.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from urllib.request import Request, urlopen

import fsspec
import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "bucket"


@dataclass
class Store:
    """What it was asked: method, path below the bucket and query."""

    url: str = ""
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def take(self) -> list[tuple[str, str, str]]:
        """The requests since this was last called, which forgets them."""
        taken, self.requests = self.requests, []
        return taken


def kinds(requests: Iterable[tuple[str, str, str]]) -> Counter[str]:
    """How many of each method; a GET of the bucket itself is a LIST."""
    return Counter(
        "LIST" if method == "GET" and "list-type" in query else method
        for method, _, query in requests
    )


@contextmanager
def storing() -> Iterator[Store]:
    application = DomainDispatcherApplication(create_backend_app)
    store = Store()

    def answer(environ: dict[str, Any], start: Any) -> Any:
        path = environ["PATH_INFO"].removeprefix(f"/{BUCKET}").lstrip("/")
        store.requests.append((environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", "")))
        return application(environ, start)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    store.url = f"http://127.0.0.1:{server.port}"
    keys = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret"}
    place = {"AWS_ENDPOINT_URL": store.url, "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        with patch.dict(os.environ, {**keys, **place}):
            # moto keeps its buckets by process, not by server: an earlier store's are forgotten.
            urlopen(Request(f"{store.url}/moto-api/reset", method="POST")).close()
            store.take()
            s3fs.S3FileSystem.clear_instance_cache()  # of an earlier store of this process
            fsspec.filesystem("s3").mkdir(BUCKET)
            yield store
    finally:
        server.shutdown()
        thread.join()
