from __future__ import annotations

import gc

import numpy as np
import pytest

from convert.chunks import PlacedJob, WeightJobs
from convert.errors import UnavailableWorkersError
from convert.fleet.agreement import Agreement, of_this_process
from convert.fleet.remote_chunk import Terms
from convert.fleet.worker_process import WorkerProcess
from convert.weights import ArrayWeight
from passes.calibration import blas
from passes.calibration.products import LinearProduct
from passes.encodings import encoding
from targets.base import Placement, WriteJob

VALUES = np.random.default_rng(4).normal(size=(64, 32)).astype(np.float32)
WEIGHT = ArrayWeight("w", VALUES)


@pytest.fixture
def process():
    before = blas.threads()
    found = WorkerProcess(of_this_process())
    yield found
    found._for_good.close()
    gc.unfreeze()
    assert blas.threads() == before


@pytest.fixture
def chunks(tmp_path):
    job = WriteJob(WEIGHT, encoding("f32"), (Placement("data.bin", 0),))
    group = WeightJobs(WEIGHT, (PlacedJob(tmp_path, job),))
    return [chunk.alone(chunk.jobs) for chunk in group.chunks(32 * 32 * 4)]


def test_it_prepares_for_a_driver_with_the_same_packages(process):
    process.prepare()
    with pytest.raises(UnavailableWorkersError, match="other packages"):
        WorkerProcess(Agreement({"numpy": "0.1"}, "other")).prepare()


def test_each_product_is_made_by_one_thread(process):
    assert blas.threads() in {1, None}


def test_memory_of_rows_is_used_again(process, chunks, tmp_path):
    whole = LinearProduct(WEIGHT, [np.ones((3, 32), np.float32)])
    terms, found = Terms(of_this_process(), {tmp_path: None}), set()
    for number in range(3):
        process.multiply(number, terms, whole.portable(), chunks)
        process.encode_multiplied(number)
        found.add(process._buffers[-1].ctypes.data)
    assert len(process._buffers) == len(found) == 1


def test_kernels_are_loaded_ahead(process):
    process.warm_up(["q4_0", "bf16"], weighted=True)
    assert gc.get_freeze_count() > 0


def test_chunks_are_encoded(process, chunks, tmp_path):
    done = process.encode(Terms(of_this_process(), {tmp_path: None}), chunks)
    assert b"".join(piece.data.tobytes() for piece in done.pieces) == VALUES.tobytes()


def test_chunks_are_multiplied_together_first(process, chunks, tmp_path):
    assert len(chunks) == 2
    whole = LinearProduct(WEIGHT, [np.ones((3, 32), np.float32)])
    whole.prepare()
    terms = Terms(of_this_process(), {tmp_path: None})
    whole.put(0, process.multiply(7, terms, whole.portable(), chunks))
    done = process.encode_multiplied(7)
    assert np.allclose(whole.outputs()[0], np.ones((3, 32)) @ VALUES.T, atol=1e-5)
    assert b"".join(piece.data.tobytes() for piece in done.pieces) == VALUES.tobytes()
