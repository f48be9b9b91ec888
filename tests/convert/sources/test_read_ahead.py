"""What is asked for ahead, and that nothing depends on it."""

from __future__ import annotations

import itertools
import os

import pytest

from convert.sources.read_ahead import read_ahead, read_files_ahead

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fadvise"), reason="this system takes no such advice"
)


@pytest.fixture
def asked(monkeypatch):
    """Offset and bytes of each request, by the inode it is about."""
    requests = {}

    def advise(descriptor, offset, size, advice):
        assert advice == os.POSIX_FADV_WILLNEED
        requests.setdefault(os.fstat(descriptor).st_ino, []).append((offset, size))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    return requests


def test_bytes_are_asked_for_in_steps_that_the_system_takes(asked, tmp_path):
    path = tmp_path / "weights"
    path.touch()
    read_ahead(path, 100, 5 << 20)
    (requests,) = asked.values()
    assert requests[0][0] == 100
    assert all(size <= 2 << 20 for _, size in requests)
    assert all(a + b == c for (a, b), (c, _) in itertools.pairwise(requests))
    assert sum(size for _, size in requests) == 5 << 20


def test_a_file_that_is_not_there_is_passed_over(asked, tmp_path):
    read_ahead(tmp_path / "coming", 0, 10)
    assert not asked


def test_whole_files_are_asked_for_up_to_the_limit(asked, tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        path.write_bytes(bytes(1000))
    read_files_ahead([tmp_path / "none", *paths], 1500).join()
    found = [asked.get(path.stat().st_ino) for path in paths]
    assert found == [[(0, 1000)], [(0, 500)], None]
