"""A journal remembers what was written, and trusts none of it until it was read again."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert import journal as journal_module
from convert.journal import Journal, checksum

IDENTITY = {"model": "m", "files": {"a": [1, 2]}}


@pytest.fixture
def begun(tmp_path):
    """A journal with two stretches recorded and written, of a file with room for more."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "data").write_bytes(bytes(10) + b"first" + b"second" + bytes(10))
    with Journal(tmp_path / "journal", folder) as journal:
        journal.begin(IDENTITY)
        journal.record("data", 10, np.frombuffer(b"first", np.uint8))
        journal.record("data", 15, np.frombuffer(b"second", np.uint8))
    return tmp_path


def opened(path):
    return Journal(path / "journal", path / "artifact")


def test_what_was_recorded_is_held(begun):
    with opened(begun) as journal:
        assert not journal.is_empty
        assert journal.identity == IDENTITY
        assert journal.holds("data", 10, 5)
        assert journal.holds("data", 15, 6)


@pytest.mark.parametrize("extent", [("data", 10, 6), ("data", 11, 4), ("data", 0, 5), ("b", 10, 5)])
def test_other_stretches_are_not_held(begun, extent):
    with opened(begun) as journal:
        assert not journal.holds(*extent)


@pytest.mark.parametrize("damage", [bytes(5), b"firsT", b""])
def test_bytes_that_were_lost_are_not_held(begun, damage):
    (begun / "artifact" / "data").write_bytes(bytes(10) + damage)
    with opened(begun) as journal:
        assert not journal.holds("data", 10, 5)


@pytest.mark.parametrize("cut", range(1, 30))
def test_a_torn_line_was_never_written_and_the_next_is_whole(begun, cut):
    path = begun / "journal"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with opened(begun) as journal:
        assert journal.holds("data", 10, 5) == (cut <= len(whole.splitlines()[-1]) + 1)
        assert not journal.holds("data", 15, 6)
        journal.record("data", 15, np.frombuffer(b"second", np.uint8))
    with opened(begun) as journal:
        assert journal.holds("data", 15, 6)


@pytest.mark.parametrize("nonsense", [b"\0" * 64, b"\xff\n", b"{}\n", b"[1]\n", b"7\n"])
def test_nonsense_ends_the_journal(begun, nonsense):
    path = begun / "journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]) + nonsense + lines[-1])
    with opened(begun) as journal:
        assert journal.holds("data", 10, 5)
        assert not journal.holds("data", 15, 6)
    assert path.read_bytes() == b"".join(lines[:-1])


def test_the_digest_is_kept_once_it_is_known(begun):
    with opened(begun) as journal:
        assert journal.digest is None
        journal.settle("abc")
        journal.settle("def")
    with opened(begun) as journal:
        assert journal.digest == "abc"


def test_beginning_forgets_everything(begun):
    with opened(begun) as journal:
        journal.settle("abc")
        journal.begin({"model": "other"})
        assert journal.is_empty
        journal.record("data", 15, np.frombuffer(b"second", np.uint8))
    with opened(begun) as journal:
        assert (journal.identity, journal.digest) == ({"model": "other"}, None)
        assert not journal.holds("data", 10, 5)


def test_a_journal_without_entries_removes_itself(tmp_path):
    with Journal(tmp_path / "journal", tmp_path) as journal:
        journal.begin(IDENTITY)
        assert (tmp_path / "journal").exists()
    assert not list(tmp_path.iterdir())


def test_a_disk_too_full_for_a_whole_line_is_an_error(begun, monkeypatch):
    write = os.write
    monkeypatch.setattr(journal_module.os, "write", lambda file, data: write(file, data[:7]))
    with opened(begun) as journal:
        with pytest.raises(OSError, match="space") as caught:
            journal.record("data", 0, np.zeros(3, np.uint8))
        assert caught.value.errno == errno.ENOSPC
        assert not journal.holds("data", 0, 3)
    monkeypatch.undo()
    with opened(begun) as journal:
        assert journal.holds("data", 15, 6)
        assert not journal.holds("data", 0, 3)


@settings(max_examples=50, deadline=None)
@given(size=st.integers(1, 20_000), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_checksum_notices_any_one_bit(size, where, bit):
    data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
    before = checksum(data)
    data[int(where * size)] ^= np.uint8(1 << bit)
    assert checksum(data) != before


@pytest.mark.parametrize("lost", range(4))
def test_a_checksum_notices_lost_and_swapped_pages(lost):
    data = np.random.default_rng(0).integers(0, 256, 4 * 4096 + 7, dtype=np.uint8)
    pages = data[: 4 * 4096].reshape(4, 4096)
    before = checksum(data)
    kept = pages[lost].copy()
    pages[lost] = 0
    assert checksum(data) != before
    pages[lost] = kept
    pages[[lost, (lost + 1) % 4]] = pages[[(lost + 1) % 4, lost]]
    assert checksum(data) != before


def test_a_checksum_does_not_depend_on_where_in_memory_the_bytes_are():
    data = np.random.default_rng(0).integers(0, 256, 3 * 4096, dtype=np.uint8)
    shifted = np.concatenate([data[:3], data])[3:]
    assert checksum(shifted) == checksum(data)
    assert checksum(data[:0]) == checksum(np.empty(0, np.uint8))
