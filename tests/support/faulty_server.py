"""An HTTP server on this machine that answers as told, and now and then wrongly or not at all."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True)
class Request:
    """What a client asks."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Any
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What it gets; with ``cut`` the connection ends after so many bytes of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass
class Fault:
    """Goes wrong the next so many times that a request matches.

    Args:
        method: Of the request.
        path: Regular expression of its whole path.
        answer: Given instead of the right one.
        cut: Bytes of the request's body after which the connection ends.
    """

    method: str
    path: str
    answer: Answer | None = None
    cut: int | None = None
    times: int = 1

    def takes(self, method: str, path: str) -> bool:
        """Whether it is this request's turn to go wrong."""
        if self.times and self.method == method and re.fullmatch(self.path, path):
            self.times -= 1
            return True
        return False


@dataclass
class FaultyServer:
    """What all servers of the tests have; subclasses answer.

    Args:
        faults: What goes wrong.
        asked: Every request, with the bytes of its body that came.
    """

    faults: list[Fault] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    url: str = ""
    lock: Lock = field(default_factory=Lock)

    def answer(self, request: Request) -> Answer:
        """The right answer."""
        raise NotImplementedError

    def broken_off(self, request: Request) -> None:
        """A request of which only a part of the body came."""

    def bytes_sent(self, method: str, path: str) -> int:
        """Bytes of bodies that came to paths of a regular expression."""
        return sum(
            len(each.body)
            for each in self.asked
            if each.method == method and re.fullmatch(path, each.path)
        )

    def count(self, method: str, path: str) -> int:
        """How often such a path was asked for."""
        return sum(
            each.method == method and bool(re.fullmatch(path, each.path)) for each in self.asked
        )


@contextmanager
def serving(server: FaultyServer) -> Iterator[FaultyServer]:
    """Serve on a free port of this machine."""

    class Handler(_Handler):
        pass

    Handler.served = server
    for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.serve)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    served: FaultyServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format, *arguments):
        """Silence."""

    def serve(self):
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.served.lock:
            fault = next(
                (each for each in self.served.faults if each.takes(self.command, path)), None
            )
        length = int(self.headers.get("Content-Length") or 0)
        cut = fault.cut if fault is not None else None
        body = (
            self._chunked()
            if self._is_chunked()
            else self.rfile.read(length if cut is None else min(cut, length))
        )
        query = dict(parse_qsl(parts.query))
        request = Request(self.command, path, query, self.headers, body)
        with self.served.lock:
            self.served.asked.append(request)
            if cut is not None:
                self.served.broken_off(request)
                self._hang_up()
                return
            right = fault.answer if fault is not None else None
            answer = right if right is not None else self.served.answer(request)
        self._send(answer)

    def _is_chunked(self):
        return "chunked" in (self.headers.get("Transfer-Encoding") or "")

    def _chunked(self):
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _send(self, answer):
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in answer.headers):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
        if answer.cut is not None:
            self._hang_up()

    def _hang_up(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
