"""Object storage: ranges of objects that stay what they were, and named errors without secrets."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("obstore")

from convert.errors import (
    ChangedInputError,
    TruncatedFileError,
    UnavailableSourceError,
    UsageError,
)
from convert.sources import object_storage
from convert.sources.object_storage import ObjectFolder
from convert.sources.object_storage_errors import explained
from convert.sources.object_storage_urls import checked_url, is_object_url
from convert.sources.object_storage_windows import Windows
from tests.support.object_server import serving

SECRET = "no-word-of-this-in-any-log"
DATA = bytes(range(256)) * 8


@pytest.fixture
def storage(monkeypatch, tmp_path):
    monkeypatch.setattr(object_storage, "_RETRIES", 1)
    monkeypatch.setattr(object_storage, "_LISTING_SECONDS", 0.0)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with serving() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.objects = {"a/w.bin": DATA, "a/sub/other.bin": DATA, "b/w.bin": b"other"}
        yield server


def test_a_folder_lists_what_is_right_below_it_and_reads_ranges(storage):
    folder = ObjectFolder("s3://models/a")
    assert {name: each.size for name, each in folder.objects.items()} == {"w.bin": len(DATA)}
    assert bytes(folder.read("w.bin", 10, 300)) == DATA[10:300]
    assert storage.asked == [("a/w.bin", "bytes=10-299")]


def test_a_server_error_is_tried_again(storage):
    folder = ObjectFolder("s3://models/a")
    storage.answers = [503]
    assert bytes(folder.read("w.bin", 0, 4)) == DATA[:4]
    assert len(storage.asked) == 2


@pytest.mark.parametrize(
    ("answers", "kind", "found"),
    [
        ([500] * 9, UnavailableSourceError, "500"),
        ([403], UnavailableSourceError, "403"),
        ([404], UnavailableSourceError, "404"),
        ([412], ChangedInputError, "ETag"),
    ],
)
def test_what_the_storage_refuses_is_named_without_secrets(storage, answers, kind, found):
    folder = ObjectFolder("s3://models/a")
    storage.answers = answers
    with pytest.raises(kind) as raised:
        folder.read("w.bin", 0, 4)
    assert "s3://models/a/w.bin" in raised.value.what
    assert found in raised.value.found
    assert SECRET not in str(raised.value)


def test_an_object_that_was_replaced_is_noticed(storage):
    folder = ObjectFolder("s3://models/a")
    storage.objects["a/w.bin"] = DATA[::-1]
    with pytest.raises(ChangedInputError):
        folder.read("w.bin", 0, 4)


def test_an_answer_that_is_too_short_is_an_error(storage):
    folder = ObjectFolder("s3://models/a")
    storage.short = 2
    with pytest.raises((TruncatedFileError, UnavailableSourceError)):
        folder.read("w.bin", 0, 100)


def test_a_bucket_that_is_not_there(storage):
    with pytest.raises(UnavailableSourceError, match="there is no s3://nobody/a"):
        ObjectFolder("s3://nobody/a")


def test_no_credentials_at_all(storage, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UnavailableSourceError, match="no credentials for s3://models/a"):
        ObjectFolder("s3://models/a")


def test_credentials_of_a_profile(storage, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    text = "[work]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = x\n"
    (tmp_path / "credentials").write_text(text)
    monkeypatch.setenv("AWS_PROFILE", "work")
    ObjectFolder("s3://models/a")
    assert "AKIAPROFILE" in storage.authorizations[-1]


def test_a_public_bucket_without_credentials(storage, monkeypatch):
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    ObjectFolder("s3://models/a")
    assert storage.authorizations[-1] == ""


def test_a_signature_in_an_error_is_left_out():
    error = RuntimeError(f"GET https://account.example/c/x?sig={SECRET} failed: status code: 500")
    said = explained(error, "az://account/c/x")
    assert SECRET not in str(said)
    assert "https://account.example/c/x failed" in said.found


def test_urls():
    assert is_object_url("s3://bucket/x")
    assert not is_object_url("organisation/name")
    assert not is_object_url("s3/name")
    assert checked_url("s3://bucket//a/b/") == ("s3://bucket/a/b", "b")
    assert checked_url("gs://bucket") == ("gs://bucket", "bucket")
    for wrong in ("s3://", "az://account", "s3://bucket/../x"):
        with pytest.raises(UsageError, match="names no folder"):
            checked_url(wrong)
    for secret in (f"s3://key:{SECRET}@bucket/x", f"az://a/c?sig={SECRET}"):
        with pytest.raises(UsageError) as raised:
            checked_url(secret)
        assert SECRET not in str(raised.value)


def test_windows_read_every_byte_once_for_many_threads():
    reads = []

    def read(name, start, stop):
        reads.append((start, stop))
        return memoryview(DATA)[start:stop]

    windows = Windows(read, window=300, kept=8)
    wrong = []

    def check(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            start, stop = sorted(rng.integers(0, len(DATA), 2))
            buffer = np.empty(stop - start, np.uint8)
            windows.read_into("w", len(DATA), int(start), buffer)
            if buffer.tobytes() != DATA[start:stop]:
                wrong.append((start, stop))

    threads = [threading.Thread(target=check, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(reads) == [(at, min(at + 300, len(DATA))) for at in range(0, len(DATA), 300)]


def test_a_window_that_failed_is_read_again():
    answers = [UnavailableSourceError("no"), memoryview(DATA)[:300]]

    def read(name, start, stop):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    windows, buffer = Windows(read, window=300), np.empty(4, np.uint8)
    with pytest.raises(UnavailableSourceError):
        windows.read_into("w", len(DATA), 0, buffer)
    windows.read_into("w", len(DATA), 0, buffer)
    assert buffer.tobytes() == DATA[:4]
