"""S3 over HTTP: parts that are what was sent, and errors that say what to do."""

from __future__ import annotations

import hashlib

import pytest

from convert.errors import UnavailableDestinationError
from convert.outlets import s3 as module
from convert.outlets.parts import FilePart
from convert.outlets.s3 import S3Storage
from convert.outlets.s3_errors import explained
from convert.outlets.storage import Storage

DATA = bytes(range(256)) * 4


@pytest.fixture
def storage(bucket, monkeypatch) -> Storage:
    monkeypatch.setattr(module, "_ATTEMPTS", 2)
    return S3Storage(bucket.url)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def send(storage, path, name="a/file"):
    identifier, sent = storage.begin(name), []
    for number, (start, stop) in enumerate([(0, 600), (600, len(DATA))]):
        with FilePart(path, start, stop) as body:
            sent.append(storage.send(name, identifier, number, body))
    return identifier, sent


def test_an_object_of_parts_is_seen_when_it_is_complete(storage, bucket, path):
    identifier, sent = send(storage, path)
    assert sent[0].md5 == sent[0].etag == hashlib.md5(DATA[:600]).hexdigest()
    listed = storage.listed("a/file", identifier)
    assert [(part.size, part.etag) for part in listed.values()] == [
        (600, sent[0].etag), (len(DATA) - 600, sent[1].etag)
    ]  # fmt: skip
    assert not bucket.objects()
    assert not storage.is_made_of("a/file", sent)
    storage.complete("a/file", identifier, sent, len(DATA))
    assert bucket.objects() == {"made/a/file": DATA}
    assert storage.is_made_of("a/file", sent)
    assert not storage.is_made_of("a/file", sent[::-1])
    assert storage.sizes("a") == {"a/file": len(DATA)}


def test_what_is_not_there(storage):
    assert storage.sizes("a") == {}
    assert storage.read("a/file") is None
    assert storage.listed("a/file", "none") is None
    storage.remove("a/file")
    storage.abort("a/file", "none")


def test_whole_files(storage, bucket, path):
    storage.put("page.html", path)
    assert storage.read("page.html") == DATA
    kind = bucket.client.head_object(Bucket=bucket.name, Key="made/page.html")["ContentType"]
    assert kind == "text/html"
    storage.remove("page.html")
    assert not bucket.objects()


def test_bytes_that_the_storage_has_otherwise_are_named(storage, path, monkeypatch):
    storage.put("good", path)
    monkeypatch.setattr(module, "md5_of", lambda body: b"\0" * 16)
    with pytest.raises(UnavailableDestinationError, match="other bytes than were sent"):
        storage.put("bad", path)


def test_storages_whose_etags_are_no_md5_are_believed(storage, path, monkeypatch):
    monkeypatch.setattr(module, "_bare", lambda etag: "opaque")
    storage.put("good", path)
    _, sent = send(storage, path)
    assert {part.etag for part in sent} == {"opaque"}


def test_server_errors_are_tried_again(storage, s3, path):
    s3.answers = [("partNumber=1", 503), ("partNumber=2", 500)]
    send(storage, path)
    assert len(s3.parts()) == 4


@pytest.mark.parametrize(
    ("answers", "what"),
    [([500] * 9, "cannot be written"), ([403], "may not write")],
)
def test_what_the_storage_refuses(storage, s3, path, answers, what):
    s3.answers = [("file", answer) for answer in answers]
    with pytest.raises(UnavailableDestinationError, match=what) as raised:
        storage.put("a/file", path)
    assert raised.value.exit_code == 2
    assert "made/a/file" in raised.value.what
    assert "secret" not in str(raised.value)


def test_access_is_asked_for_early(storage, bucket, s3):
    storage.require_access()
    assert not bucket.uploads()
    s3.answers = [("POST", 403)]
    with pytest.raises(UnavailableDestinationError, match="may not write"):
        storage.require_access()
    with pytest.raises(UnavailableDestinationError, match="no bucket for s3://nobodys/x"):
        S3Storage("s3://nobodys/x").require_access()


def test_no_credentials(storage, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UnavailableDestinationError, match="may not write"):
        S3Storage("s3://bucket/x").require_access()


def test_no_server(storage, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(UnavailableDestinationError, match="cannot be written"):
        S3Storage("s3://bucket/x").require_access()


def test_an_error_that_is_explained_stays():
    error = UnavailableDestinationError("known")
    assert explained(error, "s3://bucket/x") is error
