"""Parts of files: their bounds, when they are whole, and their bytes as the body of a request."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from convert.outlets import parts as module
from convert.outlets.parts import MOST_PARTS, FilePart, Parts, part_bytes
from convert.runs import Runs


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 10)
    monkeypatch.setattr(module, "_STEP", 1)


@pytest.mark.parametrize("size", [1, 8 << 20, (8 << 20) * MOST_PARTS + 1, 5 << 40])
def test_parts_are_large_enough_and_few_enough(size):
    parts = Parts(size)
    assert parts.part == part_bytes(size) >= 8 << 20
    assert len(parts) <= MOST_PARTS
    assert parts.bounds(len(parts) - 1)[1] == size
    assert parts.bounds(len(parts) - 1)[0] < size


def test_a_part_is_whole_when_its_last_byte_comes(small):
    parts = Parts(25)
    assert parts.fill(5, 10) == []
    assert parts.fill(0, 5) == [0]
    assert parts.fill(20, 5) == [2]
    assert parts.fill(15, 0) == []
    assert not parts.are_whole
    assert parts.fill(15, 5) == [1]
    assert parts.are_whole


def test_any_order_gives_every_part_once(small):
    rng = np.random.default_rng(1)
    for _ in range(20):
        cuts = sorted({0, 107, *map(int, rng.integers(1, 107, 12))})
        stretches = [(start, stop - start) for start, stop in pairwise(cuts)]
        parts, found = Parts(107), []
        for index in rng.permutation(len(stretches)):
            found += parts.fill(*stretches[index])
        assert sorted(found) == list(range(11))


def test_a_plane_in_runs_counts_when_it_is_whole(small):
    parts, runs = Parts(30), Runs(count=4, stride=5, plane_offset=5, plane_size=20)
    assert parts.fill_all([(0, 5), (25, 5)]) == []
    assert parts.fill_in_runs(12, runs) == []
    assert parts.fill_in_runs(8, runs) == [0, 1, 2]


def test_a_part_of_a_file_can_be_read_again(tmp_path):
    data = bytes(range(200))
    path = tmp_path / "file"
    path.write_bytes(data)
    with FilePart(path, 50, 120) as part:
        assert len(part) == 70
        assert b"".join(part.pieces()) == part.read() == data[50:120]
        assert part.read(1) == b""
        part.seek(-10, 2)
        assert part.tell() == 60
        part.seek(1, 1)
        assert part.read(3) == data[111:114]
        assert part.readable()
        assert part.seekable()
