"""A ModelScope that takes publications: what its SDK asks to make, fill and read a model."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.faulty_server import Answer, FaultyServer, Request

NAME = "org/tiny"
TOKEN = "ms-0123-not-a-real-token"
STORE = r"/store/[0-9a-f]{64}"
COMMIT = rf"/api/v1/repos/models/{NAME}/commit/master"
_BATCH = f"/api/v1/repos/models/{NAME}/info/lfs/objects/batch"
_MODEL = f"/api/v1/models/{NAME}"


@dataclass
class FakeModelScope(FaultyServer):
    """One model repository, which is not there at first.

    Args:
        commits: Files of each commit, oldest first.
        blobs: Large files by their SHA-256, committed or not.
    """

    commits: list[dict[str, bytes]] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    visibility: int = 1

    @property
    def files(self) -> Mapping[str, bytes]:
        return self.commits[-1] if self.commits else {}

    def answer(self, request: Request) -> Answer:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401)
        if request.path == "/api/v1/models" and request.method == "POST":
            asked = json.loads(request.body)
            self.visibility = asked["Visibility"]
            self.commits = [{".gitattributes": b"", "configuration.json": b"{}"}]
            return _json({"Path": asked["Path"], "Name": asked["Name"]})
        if not self.commits:
            return Answer(404, b"{}")
        if re.fullmatch(STORE, request.path):
            self.blobs[request.path.rpartition("/")[2]] = request.body
            return Answer(200)
        return self._of_repository(request)

    def _of_repository(self, request: Request) -> Answer:
        if request.path == _BATCH:
            return _json({"objects": list(map(self._wanted, json.loads(request.body)["objects"]))})
        if request.path == COMMIT:
            return self._commit(json.loads(request.body)["actions"])
        if request.path == f"{_MODEL}/repo/files":
            found = [
                {"Path": name, "Name": name, "Type": "blob", "Size": len(data)}
                for name, data in self.files.items()
            ]
            return _json({"Files": found})
        if request.path == f"{_MODEL}/repo":
            data = self.files.get(request.query["FilePath"])
            return Answer(404, b"{}") if data is None else Answer(200, data)
        if request.path == _MODEL:
            return _json({"Path": "org", "Name": "tiny", "Visibility": self.visibility})
        return Answer(404, b"{}")

    def _wanted(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if asked["oid"] in self.blobs:
            return {"oid": asked["oid"]}
        href = f"{self.url}/store/{asked['oid']}?signature=signed-and-secret"
        return {"oid": asked["oid"], "actions": {"upload": {"href": href}}}

    def _commit(self, actions: list[Mapping[str, Any]]) -> Answer:
        files = dict(self.files)
        for action in actions:
            if action["action"] == "delete":
                del files[action["path"]]
            elif action["type"] == "lfs":
                data = self.blobs[action["sha256"]]
                assert hashlib.sha256(data).hexdigest() == action["sha256"]
                files[action["path"]] = data
            else:
                files[action["path"]] = base64.b64decode(action["content"])
        self.commits.append(files)
        return _json({"oid": str(len(self.commits))})


def _json(data: Any) -> Answer:
    body = json.dumps({"Code": 200, "Success": True, "Data": data}).encode()
    return Answer(200, body, {"Content-Type": "application/json"})
