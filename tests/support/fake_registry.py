"""An OCI registry in memory: blobs, uploads in chunks, manifests, logins."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field

from tests.support.faulty_server import Answer, FaultyServer, Request

REPOSITORY = "org/tiny"
USER, PASSWORD = "someone", "correct-horse-battery"
TOKEN = "bearer-token-of-the-fake-registry"
UPLOAD = r"/v2/org/tiny/blobs/uploads/\d+"
_PATHS = re.compile(rf"/v2/{REPOSITORY}/(?P<what>blobs|manifests)/(?P<rest>.+)")


@dataclass
class FakeRegistry(FaultyServer):
    """One repository.

    Args:
        login: None, ``basic`` or ``bearer``.
        takes_chunks: Whether uploads may come in pieces.
        forgetful: Uploads that were broken off cannot be gone on with.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    login: str | None = None
    takes_chunks: bool = True
    forgetful: bool = False
    heeds_ranges: bool = True

    @property
    def place(self) -> str:
        return f"oci://{self.url.removeprefix('http://')}/{REPOSITORY}"

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return self._token(request)
        if refusal := self._refusal(request):
            return refusal
        match = _PATHS.fullmatch(request.path)
        if match is None:
            return _error(404, "NAME_UNKNOWN")
        if match["what"] == "manifests":
            return self._manifest(request, match["rest"])
        if match["rest"].startswith("uploads/"):
            return self._upload(request, match["rest"].removeprefix("uploads/"))
        return self._blob(request, match["rest"])

    def broken_off(self, request: Request) -> None:
        number = request.path.rpartition("/")[2]
        if self.forgetful:
            self.uploads.pop(number, None)
        elif request.method == "PATCH" and number in self.uploads:
            self.uploads[number] += request.body

    def _token(self, request: Request) -> Answer:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {pair}":
            return Answer(401)
        assert request.query["scope"] == f"repository:{REPOSITORY}:pull,push"
        return Answer(200, json.dumps({"token": TOKEN}).encode())

    def _refusal(self, request: Request) -> Answer | None:
        pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        wanted = {None: None, "basic": f"Basic {pair}", "bearer": f"Bearer {TOKEN}"}[self.login]
        if wanted is None or request.headers.get("Authorization") == wanted:
            return None
        asks = 'Basic realm="fake"'
        if self.login == "bearer":
            scope = f"repository:{REPOSITORY}:pull,push"
            asks = f'Bearer realm="{self.url}/token",service="fake",scope="{scope}"'
        return _error(401, "UNAUTHORIZED", {"WWW-Authenticate": asks})

    def _blob(self, request: Request, digest: str) -> Answer:
        if digest not in self.blobs:
            return _error(404, "BLOB_UNKNOWN")
        data = self.blobs[digest]
        ranged = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
        if ranged and self.heeds_ranges:
            return Answer(206, data[int(ranged[1]) :])
        return Answer(200, data)

    def _upload(self, request: Request, number: str) -> Answer:
        if request.method == "POST":
            number = str(len(self.asked))
            self.uploads[number] = b""
            return Answer(202, headers=self._where(number))
        if number not in self.uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN")
        if request.method == "GET":
            return Answer(204, headers=self._where(number))
        return self._more(request, number)

    def _more(self, request: Request, number: str) -> Answer:
        if request.method == "PATCH":
            start = int(request.headers["Content-Range"].partition("-")[0])
            if not self.takes_chunks or start != len(self.uploads[number]):
                return _error(416, "BLOB_UPLOAD_INVALID")
            self.uploads[number] += request.body
            return Answer(202, headers=self._where(number))
        data = self.uploads.pop(number) + request.body
        if _digest(data) != request.query["digest"]:
            return _error(400, "DIGEST_INVALID")
        self.blobs[request.query["digest"]] = data
        return Answer(201)

    def _where(self, number: str) -> dict[str, str]:
        last = max(0, len(self.uploads[number]) - 1)
        return {"Location": f"/v2/{REPOSITORY}/blobs/uploads/{number}", "Range": f"0-{last}"}

    def _manifest(self, request: Request, name: str) -> Answer:
        if request.method == "PUT":
            named = json.loads(request.body)
            for each in (named["config"], *named["layers"]):
                if each["digest"] not in self.blobs:
                    return _error(404, "MANIFEST_BLOB_UNKNOWN")
            self.manifests[name] = self.manifests[_digest(request.body)] = request.body
            return Answer(201, headers={"Docker-Content-Digest": _digest(request.body)})
        if name not in self.manifests:
            return _error(404, "MANIFEST_UNKNOWN")
        data = self.manifests[name]
        return Answer(200, data, {"Docker-Content-Digest": _digest(data)})


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _error(status: int, code: str, headers: dict[str, str] | None = None) -> Answer:
    body = json.dumps({"errors": [{"code": code, "message": "the fake registry says so"}]})
    return Answer(status, body.encode(), headers or {})
