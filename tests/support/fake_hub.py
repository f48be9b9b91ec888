"""An HTTP server that answers like the hub does, and slowly, wrongly or not at all where told."""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

import numpy as np
from safetensors.numpy import save

COMMIT, LATER = "1" * 40, "2" * 40
_RESOLVE = re.compile(r"/(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_API = re.compile(
    r"/api/models/(?P<name>[^/]+/[^/]+)(/(?P<what>revision|tree)/(?P<revision>[^/?]+))?"
)
_PATIENCE = 30.0


def shards() -> dict[str, bytes]:
    """Two shards with an index, and the files beside them."""
    first = {"a": np.arange(6, dtype="f4").reshape(3, 2)}
    second = {"b": np.arange(100_000, dtype="f2"), "c": np.ones(2, "f4")}
    weight_map = {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-2.safetensors"}
    return {
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors.index.json": json.dumps({"weight_map": weight_map}).encode(),
        "tokenizer.json": b"{}",
        "modeling_x.py": b"raise SystemExit",
        "onnx/model.safetensors": b"another format",
        "consolidated.safetensors": b"another copy that no index names",
        "m-1.safetensors": save(first),
        "m-2.safetensors": save(second),
    }


@dataclass
class Body:
    """How the contents of a file are sent, if the whole file is asked for.

    Args:
        held: Bytes after which the sender waits for `go_on`; None sends at once.
        cut: Bytes after which the connection ends, as often as `cuts` says.
        sent: What is sent instead of the file that was announced.
    """

    held: int | None = None
    cut: int | None = None
    cuts: int = 1
    sent: bytes | None = None
    is_held: Event = field(default_factory=Event)
    go_on: Event = field(default_factory=Event)


@dataclass
class FakeHub:
    """One model, ``org/name``, and what is asked about it.

    Args:
        commits: Files of each commit, by commit.
        branches: Commit of each branch.
        bodies: By file name: how to send it.
        refusals: By file name, or "" for the model itself: status and error code.
        asked: Method, path and range of each request.
    """

    commits: dict[str, Mapping[str, bytes]]
    branches: dict[str, str]
    bodies: dict[str, Body] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    heeds_ranges: bool = True
    url: str = ""

    def asked_for(self, file: str, method: str = "GET") -> list[str | None]:
        """The ranges that were asked of a file."""
        return [
            ranged
            for verb, path, ranged in self.asked
            if verb == method and path.endswith(f"/{file}")
        ]

    def files(self, revision: str | None) -> tuple[str, Mapping[str, bytes]] | None:
        """Commit and files of a branch or commit."""
        commit = self.branches.get(revision or "main", revision or "main")
        return (commit, self.commits[commit]) if commit in self.commits else None


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve ``hub`` on a free port of this machine."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        for body in hub.bodies.values():
            body.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        """Silence."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if found := _API.fullmatch(path):
            self._answer_api(found)
        elif found := _RESOLVE.fullmatch(path):
            self._answer_file(found)
        else:
            self._refuse(404, "EntryNotFound")

    def _answer_api(self, asked):
        if "" in self.hub.refusals:
            self._refuse(*self.hub.refusals[""])
            return
        if asked["name"] != "org/name":
            self._refuse(404, "RepoNotFound")
            return
        found = self.hub.files(asked["revision"])
        if found is None:
            self._refuse(404, "RevisionNotFound")
            return
        commit, files = found
        if asked["what"] == "tree":
            self._send_json(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": _oid(data)}
                    for file, data in files.items()
                ]
            )
            return
        siblings = [{"rfilename": file, "size": len(data)} for file, data in files.items()]
        self._send_json({"id": "org/name", "sha": commit, "siblings": siblings})

    def _answer_file(self, asked):
        file = asked["file"]
        if file in self.hub.refusals:
            self._refuse(*self.hub.refusals[file])
            return
        found = self.hub.files(asked["revision"])
        if found is None or file not in found[1]:
            self._refuse(404, "RevisionNotFound" if found is None else "EntryNotFound")
            return
        commit, files = found
        data = files[file]
        start, stop = self._range(len(data))
        self.send_response(206 if (start, stop) != (0, len(data)) else 200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_oid(data)}"')
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self._send_body(file, data, start, stop)

    def _range(self, size):
        ranged = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if ranged is None or not self.hub.heeds_ranges:
            return 0, size
        return int(ranged[1]), min(size, int(ranged[2]) + 1) if ranged[2] else size

    def _send_body(self, file, data, start, stop):
        body = self.hub.bodies.get(file)
        is_header_only = (self.headers.get("Range") or "").startswith("bytes=0-")
        if body is None or is_header_only:
            self.wfile.write(data[start:stop])
            return
        data = data if body.sent is None else body.sent
        if body.cut is not None and body.cuts > 0:
            body.cuts -= 1
            self.wfile.write(data[start : body.cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if body.held is not None:
            self.wfile.write(data[start : body.held])
            self.wfile.flush()
            body.is_held.set()
            assert body.go_on.wait(_PATIENCE)
            start = max(start, body.held)
        self.wfile.write(data[start:stop])

    def _send_json(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _oid(data):
    return hashlib.sha1(data).hexdigest()
