from __future__ import annotations

import numpy as np

from convert.chunks import PlacedJob, WeightJobs
from convert.fleet.task_memory import task_bytes
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Placement, WriteJob


def test_more_artifacts_need_more_memory(tmp_path):
    weight = ArrayWeight("w", np.zeros((64, 32), np.float32))
    job = PlacedJob(tmp_path, WriteJob(weight, encoding("bf16"), (Placement("f", 0),)))
    needed = [
        task_bytes(next(WeightJobs(weight, (job,) * count).chunks(1 << 20))) for count in range(3)
    ]
    assert 0 < needed[0] < needed[1] < needed[2]


def test_chunks_together_are_read_one_by_one_and_sent_back_at_once(tmp_path):
    weight = ArrayWeight("w", np.zeros((64, 32), np.float32))
    job = PlacedJob(tmp_path, WriteJob(weight, encoding("bf16"), (Placement("f", 0),)))
    chunk = next(WeightJobs(weight, (job,)).chunks(1 << 20))
    one, two = task_bytes(chunk), task_bytes(chunk, chunk)
    assert one < two < 2 * one
