from __future__ import annotations

import itertools

import pytest

from convert.outlets import parts
from tests.support.moto_server import CREDENTIALS, serving

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def server():
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    with serving() as running:
        yield running


@pytest.fixture
def s3(server, monkeypatch, tmp_path):
    """The server, its record empty, and this process with the right to it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(parts, "PART_BYTES", 1 << 16)
    monkeypatch.setattr(parts, "_STEP", 1 << 16)
    server.asked.clear()
    server.answers.clear()
    server.open_for = None
    server.gate.clear()
    yield server
    server.gate.set()


class Bucket:
    """A new bucket: its objects by key, and its unfinished uploads."""

    def __init__(self):
        import boto3

        self.client = boto3.client("s3")
        self.name = f"bucket-{next(_NUMBERS)}"
        self.client.create_bucket(Bucket=self.name)

    @property
    def url(self):
        return f"s3://{self.name}/made"

    def objects(self):
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", ())
        return {
            each["Key"]: self.client.get_object(Bucket=self.name, Key=each["Key"])["Body"].read()
            for each in listed
        }

    def uploads(self):
        listed = self.client.list_multipart_uploads(Bucket=self.name)
        return [each["Key"] for each in listed.get("Uploads", ())]

    def put(self, key, data):
        self.client.put_object(Bucket=self.name, Key=key, Body=data)


@pytest.fixture
def bucket(s3):
    made = Bucket()
    s3.asked.clear()
    return made
