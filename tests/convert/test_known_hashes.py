"""A large file is hashed once, until it changes."""

from __future__ import annotations

import json
import os
import time

import pytest

from convert import known_hashes
from convert.hashing import FileRecord, hash_file
from convert.known_hashes import SMALLEST_BYTES, KnownHashes


@pytest.fixture
def large(tmp_path):
    """A file that was last touched an hour ago, or so its clock says."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    os.truncate(path, SMALLEST_BYTES)
    return path


@pytest.fixture
def later(monkeypatch):
    now = time.time() + 3600
    monkeypatch.setattr(known_hashes.time, "time", lambda: now)


@pytest.fixture
def hashed(monkeypatch):
    """The paths that were really read."""
    paths = []

    def counting(folder, path):
        paths.append(path)
        return hash_file(folder, path)

    monkeypatch.setattr(known_hashes, "hash_file", counting)
    return paths


def test_a_known_file_is_not_read_again(tmp_path, large, later, hashed):
    cache = tmp_path / "cache" / "hashes.json"
    first = KnownHashes(cache).hash_file(tmp_path, large)
    assert KnownHashes(cache).hash_file(tmp_path, large) == first == hash_file(tmp_path, large)
    assert hashed == [large]


@pytest.mark.parametrize("change", ["content", "time", "place"])
def test_a_file_that_changed_is_read_again(tmp_path, large, later, hashed, change):
    cache = tmp_path / "hashes.json"
    KnownHashes(cache).hash_file(tmp_path, large)
    status = large.stat()
    if change == "content":
        with large.open("r+b") as file:
            file.write(b"WEIGHTS")
        os.utime(large, ns=(status.st_atime_ns, status.st_mtime_ns))
    elif change == "time":
        os.utime(large, ns=(1, 1))
    else:
        other = tmp_path / "other"
        other.write_bytes(large.read_bytes())
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(large)
    assert KnownHashes(cache).hash_file(tmp_path, large) == hash_file(tmp_path, large)
    assert hashed == [large, large]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, large, hashed):
    for _ in range(2):
        KnownHashes(tmp_path / "hashes.json").hash_file(tmp_path, large)
    assert hashed == [large, large]


def test_a_small_file_is_always_read(tmp_path, later, hashed):
    small = tmp_path / "config.json"
    small.write_text("{}")
    for _ in range(2):
        KnownHashes(tmp_path / "hashes.json").hash_file(tmp_path, small)
    assert hashed == [small, small]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_memory_is_no_memory(tmp_path, large, later, content):
    cache = tmp_path / "hashes.json"
    cache.write_bytes(content)
    record = KnownHashes(cache).hash_file(tmp_path, large)
    assert record == hash_file(tmp_path, large)
    assert KnownHashes(cache).hash_file(tmp_path, large) == record


@pytest.mark.parametrize("value", ["", "abc", "g" * 64, 7, None, ["0" * 64]])
def test_what_is_no_hash_is_not_taken_for_one(tmp_path, large, later, value):
    cache = tmp_path / "hashes.json"
    record = KnownHashes(cache).hash_file(tmp_path, large)
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: value}))
    assert KnownHashes(cache).hash_file(tmp_path, large) == record


def test_where_nothing_can_be_written_nothing_is_remembered(tmp_path, large, later):
    blocked = tmp_path / "file"
    blocked.write_text("")
    record = KnownHashes(blocked / "hashes.json").hash_file(tmp_path, large)
    assert isinstance(record, FileRecord)


def test_the_oldest_are_forgotten(tmp_path, large, later, monkeypatch):
    monkeypatch.setattr(known_hashes, "_ENTRIES", 2)
    cache = tmp_path / "hashes.json"
    for second in range(4):
        os.utime(large, ns=(second, second))
        KnownHashes(cache).hash_file(tmp_path, large)
    assert cache.read_text().count(":") == 2
