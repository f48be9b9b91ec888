"""A hub that takes publications: what huggingface_hub asks of it to make, fill and read a model."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.faulty_server import Answer, FaultyServer, Request

NAME = "org/tiny"
TOKEN = "hf_" + "notarealtoken" * 3
XET_TOKEN = "xet-token-of-the-fake-hub"
STORE = r"/store/[0-9a-f]{64}"
COMMIT = rf"/api/models/{NAME}/commit/main"
_RESOLVE = re.compile(rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_LARGE = (".gguf", ".bin", ".safetensors")


@dataclass
class FakePublishingHub(FaultyServer):
    """One model repository, which is not there at first.

    Args:
        commits: Files of each commit, oldest first.
        blobs: Large files by their SHA-256, committed or not.
        shards: How many times somebody has told the Xet store what files are made of. It looks at
            nothing: what it holds stands for any large file.
    """

    commits: list[dict[str, bytes]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    private: bool = True
    shards: int = 0

    @property
    def files(self) -> Mapping[str, bytes]:
        """Of the newest commit."""
        return self.commits[-1] if self.commits else {}

    def make(self, files: Mapping[str, bytes], *, private: bool = True) -> None:
        """A repository that somebody made before."""
        self.commits, self.private = [dict(files)], private

    def answer(self, request: Request) -> Answer:
        if request.path.startswith("/store/"):
            return self._store(request)
        if request.path.startswith("/xet/"):
            return self._xet(request)
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, headers={"X-Error-Message": "Invalid credentials"})
        return self._authorized(request)

    def _authorized(self, request: Request) -> Answer:
        if request.path == "/api/validate-yaml":
            return _json({"warnings": [], "errors": []})
        if request.path == "/api/repos/create":
            return self._create(json.loads(request.body))
        if match := _RESOLVE.fullmatch(request.path):
            return self._resolve(match["revision"], match["file"])
        if not self.commits:
            return Answer(404, headers={"X-Error-Code": "RepoNotFound"})
        return self._of_repository(request)

    def _of_repository(self, request: Request) -> Answer:
        if request.path == COMMIT:
            return self._commit(request.body)
        if request.path == f"/api/models/{NAME}/preupload/main":
            return self._modes(json.loads(request.body)["files"])
        if request.path == f"/api/models/{NAME}/xet-write-token/main":
            expires = int(time.time()) + 3600
            return _json({"accessToken": XET_TOKEN, "exp": expires, "casUrl": f"{self.url}/xet"})
        if request.path == f"/{NAME}.git/info/lfs/objects/batch":
            return self._batch(json.loads(request.body)["objects"])
        if request.path == f"/api/models/{NAME}" or request.path.startswith(
            f"/api/models/{NAME}/revision/"
        ):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.files.items()]
            return _json(
                {"id": NAME, "sha": self._sha(), "private": self.private, "siblings": siblings}
            )
        return Answer(404, headers={"X-Error-Code": "EntryNotFound"})

    def _create(self, asked: Mapping[str, Any]) -> Answer:
        if self.commits:
            return Answer(409)
        assert (asked["organization"], asked["name"]) == tuple(NAME.split("/"))
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.make({".gitattributes": b"*.gguf filter=lfs"}, private=private)
        return _json({"url": f"{self.url}/{NAME}"})

    def _modes(self, files: list[Mapping[str, Any]]) -> Answer:
        return _json(
            {
                "files": [
                    {
                        "path": each["path"],
                        "uploadMode": "lfs" if each["path"].endswith(_LARGE) else "regular",
                        "shouldIgnore": False,
                        "oid": self._oid(each["path"]),
                    }
                    for each in files
                ]
            }
        )

    def _oid(self, path: str) -> str | None:
        """What the hub calls a file's contents: git's name, or the SHA-256 of a large file."""
        data = self.files.get(path)
        if data is None:
            return None
        if path.endswith(_LARGE):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def _batch(self, objects: list[Mapping[str, Any]]) -> Answer:
        found = []
        for each in objects:
            entry: dict[str, Any] = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.blobs:
                href = f"{self.url}/store/{each['oid']}?X-Amz-Signature=signed-and-secret"
                entry["actions"] = {"upload": {"href": href}}
            found.append(entry)
        return _json({"transfer": "basic", "objects": found})

    def _store(self, request: Request) -> Answer:
        name = request.path.rpartition("/")[2]
        if hashlib.sha256(request.body).hexdigest() != name:
            return Answer(400)
        self.blobs[name] = request.body
        return Answer(200)

    def _xet(self, request: Request) -> Answer:
        """Takes pieces of files, and then what the files are made of (hf_xet 1.8)."""
        if request.headers.get("Authorization") != f"Bearer {XET_TOKEN}":
            return Answer(401)
        if "/xorbs/" in request.path:
            return _json({"was_inserted": True})
        if request.path.endswith("/shards"):
            self.shards += 1
            told = {"result": 1} if "/v1/" in request.path else {"type": "result", "result": 1}
            return Answer(200, json.dumps(told).encode() + b"\n")
        return Answer(404)

    def _commit(self, body: bytes) -> Answer:
        files = dict(self.files)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, self._sha()):
                return Answer(412)
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if self.shards:
                    self.blobs.setdefault(value["oid"], b"in the Xet store")
                if value["oid"] not in self.blobs:
                    return Answer(400, headers={"X-Error-Message": "a pointer to nothing"})
                files[value["path"]] = self.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        self.commits.append(files)
        return _json(
            {"commitUrl": f"{self.url}/{NAME}/commit/{self._sha()}", "commitOid": self._sha()}
        )

    def _sha(self) -> str:
        return f"{len(self.commits):040x}"

    def _resolve(self, revision: str, file: str) -> Answer:
        if revision not in ("main", self._sha()) or file not in self.files:
            return Answer(404, headers={"X-Error-Code": "EntryNotFound"})
        data = self.files[file]
        headers = {
            "X-Repo-Commit": self._sha(),
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
        }
        return Answer(200, data, headers)


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
