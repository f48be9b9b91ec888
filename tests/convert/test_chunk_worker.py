"""A worker hands the rows of a chunk to a text before it encodes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert import chunks
from convert.chunk_worker import ChunkWorker
from convert.chunks import WeightJobs, by_weight
from convert.weights import ArrayWeight, FloatType
from passes.encodings import encoding
from targets.base import Layout, Placement, WriteJob

FOLDER = Path("artifact")


class Recorder:
    """An output that keeps the order of events."""

    def __init__(self):
        self.events = []

    def write(self, file, offset, data, runs):
        self.events.append(("write", file, offset, data.tobytes()))

    def written(self, file, offset, size, runs):
        self.events.append(("written", file, offset, size))

    def take(self, block):
        self.events.append(("take", block.start, block.stop, block.values.copy()))

    def taken(self):
        self.events.append(("taken",))


def group_of(weight, *kinds):
    jobs = tuple(WriteJob(weight, encoding(kind), (Placement(kind, 0),)) for kind in kinds)
    (group,) = by_weight([(FOLDER, Layout((), jobs))], {})
    return group


@pytest.mark.parametrize("dtype", FloatType)
def test_rows_are_taken_as_stored_cell_by_cell_and_encoded_then(monkeypatch, dtype):
    monkeypatch.setattr(chunks, "FEWEST_CELL_ROWS", 8)
    monkeypatch.setattr(chunks, "CELL_BYTES", 1)
    rows = np.random.default_rng(0).normal(size=(20, 32)).astype(dtype.numpy)
    weight, recorder = ArrayWeight("w", rows), Recorder()
    (chunk,) = group_of(weight, "q8_0", "f32").chunks(1 << 20, in_cells=True)
    worker = ChunkWorker({FOLDER: recorder})
    assert worker.multiply_and_process(chunk, recorder.take, recorder.taken) == weight.nbytes
    kinds = [event[0] for event in recorder.events]
    assert kinds == [*["take"] * 3, "taken", *["write"] * 2, *["written"] * 2]
    cells = recorder.events[:3]
    assert [cell[1:3] for cell in cells] == [(0, 8), (8, 16), (16, 20)]
    assert np.array_equal(np.concatenate([cell[3] for cell in cells]), rows)
    assert cells[0][3].dtype == rows.dtype
    encoded = {event[1]: event[3] for event in recorder.events[4:6]}
    for kind, found in encoded.items():
        assert found == encoding(kind).encode(rows)[0].tobytes()


def test_a_weight_that_no_artifact_wants_is_taken_and_counts_for_nothing():
    weight, recorder = ArrayWeight("w", np.ones((16, 4), np.float32)), Recorder()
    (chunk,) = WeightJobs(weight).chunks(1 << 20, in_cells=True)
    worker = ChunkWorker({})
    assert worker.multiply_and_process(chunk, recorder.take, recorder.taken) == 0
    assert [event[0] for event in recorder.events] == ["take", "taken"]


def test_without_a_text_it_is_encoded_only():
    weight, recorder = ArrayWeight("w", np.ones((16, 4), np.float32)), Recorder()
    (chunk,) = group_of(weight, "f32").chunks(1 << 20)
    assert ChunkWorker({FOLDER: recorder}).process(chunk) == weight.nbytes
    assert [event[0] for event in recorder.events] == ["write", "written"]
