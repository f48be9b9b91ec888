from __future__ import annotations

import pickle

import numpy as np
import pytest

from convert.artifact import PendingFolder, holder
from convert.chunks import PlacedJob, WeightJobs
from convert.errors import UnavailableWorkersError
from convert.fleet.agreement import of_this_process
from convert.fleet.remote_chunk import Terms, encode, finish, multiply
from convert.journal import checksum
from convert.weights import ArrayWeight, FileWeight, FloatType
from passes.calibration.products import LinearProduct
from passes.encodings import encoding
from targets.base import Placement, WriteJob

ROWS, COLUMNS = 64, 32
VALUES = np.random.default_rng(2).normal(size=(ROWS, COLUMNS)).astype(np.float32)
WEIGHT = ArrayWeight("w", VALUES)
BYTES = VALUES.nbytes


def chunks(folder, weight=WEIGHT):
    job = WriteJob(weight, encoding("f32"), (Placement("data.bin", 0),))
    group = WeightJobs(weight, (PlacedJob(folder, job),))
    return [chunk.alone(chunk.jobs) for chunk in group.chunks(16 * COLUMNS * 4)]


def terms(folder, held_by):
    return Terms(of_this_process(), {folder: held_by})


def travelled(*things):
    return pickle.loads(pickle.dumps(things))


def test_who_does_not_see_the_folder_sends_bytes(tmp_path):
    folder = tmp_path / "nowhere"
    found = b""
    for chunk in chunks(folder):
        (piece,) = encode(*travelled(terms(folder, None), [chunk])).pieces
        assert (piece.offset, piece.size) == (len(found), len(piece.data))
        assert piece.checksum == checksum(piece.data)
        found += piece.data.tobytes()
    assert found == VALUES.tobytes()


def test_who_sees_the_folder_writes_into_it(tmp_path):
    with PendingFolder(tmp_path, "made") as pending:
        (pending.path / "data.bin").write_bytes(bytes(BYTES))
        agreed = terms(pending.path, holder(pending.path))
        for chunk in chunks(pending.path):
            (piece,) = encode(*travelled(agreed, [chunk])).pieces
            assert piece.data is None
        assert (pending.path / "data.bin").read_bytes() == VALUES.tobytes()


def test_who_has_lost_its_run_does_not_write_into_a_later_one(tmp_path):
    with PendingFolder(tmp_path, "made") as pending:
        earlier = terms(pending.path, holder(pending.path))
    with PendingFolder(tmp_path, "made") as pending:
        assert holder(pending.path) not in {None, earlier.holders[pending.path]}
        (pending.path / "data.bin").write_bytes(bytes(BYTES))
        encode(earlier, chunks(pending.path)[:1])
        assert (pending.path / "data.bin").read_bytes() == bytes(BYTES)


def test_a_text_is_multiplied_before_rows_are_encoded(tmp_path):
    inputs = [np.random.default_rng(3).normal(size=(5, COLUMNS)).astype(np.float32)]
    whole = LinearProduct(WEIGHT, inputs)
    whole.prepare()
    parts = chunks(tmp_path)
    agreed, product, parts = travelled(terms(tmp_path, None), whole.portable(), parts)
    computed, rows = multiply(agreed, product, parts, np.empty(BYTES, np.uint8))
    whole.put(0, computed)
    done = finish(agreed, parts, rows)
    assert b"".join(piece.data.tobytes() for piece in done.pieces) == VALUES.tobytes()
    (output,) = whole.outputs()
    assert np.allclose(output, inputs[0] @ VALUES.T, atol=1e-5)


def test_a_checkpoint_that_is_not_there_is_explained(tmp_path):
    weight = FileWeight("w", (ROWS, COLUMNS), FloatType.F32, tmp_path / "model.safetensors", 0)
    with pytest.raises(UnavailableWorkersError, match="does not see what holds w") as caught:
        encode(terms(tmp_path, None), chunks(tmp_path, weight)[:1])
    assert "object storage" in caught.value.remedy


def test_a_chunk_travels_light(tmp_path):
    weight = ArrayWeight("w", np.zeros((1 << 16, 1), np.float32))
    (first, *_) = chunks(tmp_path, weight)
    lone = pickle.dumps(first.cuts)
    assert len(lone) < 2000
    assert list(first.blocks()) == [(0, first.stop)]
