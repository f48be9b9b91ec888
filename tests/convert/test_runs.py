"""Transposed planes: every row of every chunk lands where the transposed whole has it."""

from __future__ import annotations

import hashlib
import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.following import FollowingHashes
from convert.journal import Journal
from convert.runs import Runs, by_columns, read_runs, runs_of_rows, write_all
from convert.weights import ArrayWeight
from passes.encodings import encoding
from passes.encodings.base import Plane
from targets.base import Columns, Layout, OutputFile, Placement, WriteJob


def transposed(data, rows, columns):
    """Byte by byte: unit ``u`` of row ``r`` is unit ``r`` of the run ``u``."""
    unit, out = columns.unit, bytearray(len(data))
    units = len(data) // rows // unit
    for row in range(rows):
        for number in range(units):
            source, place = (row * units + number) * unit, (number * rows + row) * unit
            for byte in range(unit):
                out[place + byte] = data[source + byte] ^ columns.flipped
    return bytes(out)


@given(
    rows=st.integers(1, 40),
    units=st.integers(1, 9),
    unit=st.sampled_from([1, 2, 3, 4, 8]),
    flipped=st.sampled_from([0, 0x88, 0xFF]),
    data=st.data(),
)
def test_chunks_in_any_order_make_up_the_transposed_plane(
    tmp_path_factory, rows, units, unit, flipped, data
):
    columns, plane = Columns(unit, flipped), Plane("codes", "u8", (units * unit,))
    content = np.random.default_rng(rows).integers(0, 256, rows * units * unit, np.uint8)
    cuts = data.draw(st.lists(st.integers(0, rows), max_size=4, unique=True))
    bounds = sorted({0, rows, *cuts})
    parts = data.draw(st.permutations(list(pairwise(bounds))))
    descriptor = os.open(tmp_path_factory.mktemp("runs") / "f", os.O_RDWR | os.O_CREAT)
    try:
        for start, stop in parts:
            own = content[start * units * unit : stop * units * unit]
            turned = by_columns(own, columns, stop - start)
            offset, size, runs = runs_of_rows(5, columns, plane, rows, start, stop)
            assert size == turned.nbytes == own.nbytes
            write_all(descriptor, turned, offset, runs)
            assert read_runs(descriptor, size, offset, runs) == turned.tobytes()
        assert os.pread(descriptor, 1 << 20, 5) == transposed(content.tobytes(), rows, columns)
    finally:
        os.close(descriptor)


def test_what_is_turned_is_not_changed_itself():
    data = np.arange(8, dtype=np.uint8)
    assert by_columns(data, Columns(4, 0x88), 2).tolist() == [b ^ 0x88 for b in range(8)]
    assert data.tolist() == list(range(8))


@pytest.fixture
def spread(tmp_path):
    """A file with a plane of 4 rows of 3 units at byte 10, of which rows 1 and 2 are written."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "f").write_bytes(bytes(10 + 4 * 3 * 2 + 6))
    offset, size, runs = runs_of_rows(10, Columns(2), Plane("scales", "f16", (3,)), 4, 1, 3)
    assert runs == Runs(count=3, stride=8, plane_offset=10, plane_size=24)
    data = np.arange(1, size + 1, dtype=np.uint8)
    with (folder / "f").open("r+b") as file:
        write_all(file.fileno(), data, offset, runs)
    return folder, data, offset, runs


def test_a_journal_remembers_runs(tmp_path, spread):
    folder, data, offset, runs = spread
    with Journal(tmp_path / "journal", folder) as journal:
        journal.record("f", offset, data, runs)
    with Journal(tmp_path / "journal", folder) as journal:
        assert journal.holds("f", offset, data.size, runs)
        assert not journal.holds("f", offset, data.size)
        assert not journal.holds("f", offset, data.size, Runs(6, 4, 10, 24))
        with (folder / "f").open("r+b") as file:
            file.seek(offset + 2 * runs.stride)
            file.write(b"\xff")
        assert not journal.holds("f", offset, data.size, runs)


def test_a_plane_in_runs_is_hashed_when_it_is_whole(tmp_path):
    rows, content = 24, np.random.default_rng(0).integers(0, 256, 20 + 24 * 16, np.uint8)
    (tmp_path / "f").write_bytes(content.tobytes())
    weight = ArrayWeight("w", np.zeros((rows, 4), np.float32))
    job = WriteJob(weight, encoding("f32"), (Placement("f", 12, Columns(4)),))
    layout = Layout((OutputFile("f", content.size),), (job,))
    (plane,) = job.encoding.planes(4)
    with FollowingHashes(tmp_path, layout) as hashes:
        for start, stop in ((16, 24), (0, 8), (8, 16)):
            offset, size, runs = runs_of_rows(12, Columns(4), plane, rows, start, stop)
            hashes.written("f", offset, size, runs)
        found = hashes.results()["f"]
    assert found.record.sha256 == hashlib.sha256(content).hexdigest()
