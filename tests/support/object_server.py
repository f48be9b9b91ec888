"""An S3 server of a few lines that can be told to fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "models"


class ObjectServer:
    """Objects by key, and what was asked for.

    ``answers`` holds statuses that the next requests for an object get instead of it; ``short``
    says how many bytes of a range are left out.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.authorizations: list[str] = []
        self.answers: list[int] = []
        self.short = 0
        self.url = ""

    def etag(self, key: str) -> str:
        return f'"{md5(self.objects[key], usedforsecurity=False).hexdigest()}"'

    def listing(self, prefix: str) -> bytes:
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>{escape(self.etag(key))}</ETag><Size>{len(data)}</Size></Contents>"
            for key, data in sorted(self.objects.items())
            if key.startswith(prefix) and "/" not in key[len(prefix) :]
        )
        whole = f"<IsTruncated>false</IsTruncated>{entries}"
        return f"<ListBucketResult>{whole}</ListBucketResult>".encode()


@contextmanager
def serving() -> Iterator[ObjectServer]:
    """The server, on this machine, until the end of the block."""
    state = ObjectServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            bucket, _, key = unquote(parts.path).lstrip("/").partition("/")
            state.authorizations.append(self.headers.get("Authorization", ""))
            if bucket != BUCKET:
                return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
            if not key:
                asked = dict(pair.partition("=")[::2] for pair in parts.query.split("&"))
                return self.answer(200, state.listing(unquote(asked.get("prefix", ""))))
            state.asked.append((key, self.headers.get("Range")))
            if state.answers:
                return self.answer(state.answers.pop(0), b"<Error/>")
            return self.answer_object(key)

        def answer_object(self, key: str) -> None:
            if key not in state.objects:
                return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            if self.headers.get("If-Match") not in {None, state.etag(key)}:
                return self.answer(412, b"<Error/>")
            data = state.objects[key]
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            part = data[first : last + 1 - state.short]
            place = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
            return self.answer(206, part, ("Content-Range", place), ("ETag", state.etag(key)))

        def answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
