"""Files are hashed while they are being written, in any order."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.following import FollowingHashes
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Layout, OutputFile, Placement, WriteJob


def jobs(*places):
    """A job of float32 for each ``(file, offset, rows)``."""
    return tuple(
        WriteJob(
            ArrayWeight(f"w{number}", np.zeros((rows, 4), np.float32)),
            encoding("f32"),
            (Placement(file, offset),),
        )
        for number, (file, offset, rows) in enumerate(places)
    )


def write(path, data):
    path.write_bytes(data)
    return data


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(12)))
def test_any_order_of_writing_gives_the_hash_of_the_file(tmp_path_factory, order):
    folder = tmp_path_factory.mktemp("out")
    size = 100 + 12 * 16 * 20_000
    content = np.random.default_rng(0).integers(0, 256, size, np.uint8).tobytes()
    (folder / "a").write_bytes(bytes(size))
    layout = Layout((OutputFile("a", size),), jobs(("a", 64, 12 * 20_000)))
    with FollowingHashes(folder, layout) as hashes, (folder / "a").open("r+b") as file:
        file.write(content[:64])
        file.seek(size - 36)
        file.write(content[-36:])
        for part in order:
            start = 64 + part * 320_000
            file.seek(start)
            file.write(content[start : start + 320_000])
            file.flush()
            hashes.written("a", start, 320_000)
        found = hashes.results()["a"]
    assert found.record.sha256 == hashlib.sha256(content).hexdigest()
    assert found.record.size == size


def test_files_without_jobs_and_empty_files_are_hashed_too(tmp_path):
    data = {name: write(tmp_path / name, text) for name, text in (("a", b"alpha"), ("b", b""))}
    files = tuple(OutputFile.whole(name, text) for name, text in data.items())
    with FollowingHashes(tmp_path, Layout(files, ())) as hashes:
        results = hashes.results()
    for name, text in data.items():
        assert results[name].record.sha256 == hashlib.sha256(text).hexdigest()


def test_a_file_that_changed_afterwards_is_noticed(tmp_path):
    write(tmp_path / "a", b"alpha")
    with FollowingHashes(tmp_path, Layout((OutputFile.whole("a", b"alpha"),), ())) as hashes:
        found = hashes.results()["a"]
    assert found.is_unchanged(tmp_path / "a")
    write(tmp_path / "a", b"alphabet")
    assert not found.is_unchanged(tmp_path / "a")


def test_leaving_early_ends_the_thread(tmp_path):
    write(tmp_path / "a", bytes(64))
    layout = Layout((OutputFile("a", 64),), jobs(("a", 0, 4)))
    with FollowingHashes(tmp_path, layout) as hashes:
        pass
    with pytest.raises(InterruptedError):
        hashes.results()


def test_a_file_that_ends_early_is_an_error(tmp_path):
    write(tmp_path / "a", bytes(10))
    layout = Layout((OutputFile.whole("a", bytes(20)),), ())
    with FollowingHashes(tmp_path, layout) as hashes, pytest.raises(OSError, match="ends before"):
        hashes.results()
