"""Planes go to the tensors named for them, some of them transposed."""

from __future__ import annotations

import numpy as np

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Columns, Placement
from targets.checkpoint_tensors import CheckpointTensors, FilledTensor, float_tensor
from targets.safetensors_layout import StoredTensor

WEIGHT = ArrayWeight("w", np.zeros((4, 3), np.float16))


def test_floats_keep_name_and_shape():
    assert float_tensor(WEIGHT, encoding("bf16")) == StoredTensor("w", "BF16", (4, 3), 24)
    assert float_tensor(WEIGHT, encoding("f32")) == StoredTensor("w", "F32", (4, 3), 48)


def test_jobs_have_the_places_of_their_tensors():
    chosen = encoding("w8a8")
    filled = FilledTensor(
        Parameter(WEIGHT, chosen), chosen, ("w.codes", "w.scales"), {"w.codes": Columns(1)}
    )
    places = {"w.codes": Placement("f", 8), "w.scales": Placement("g", 16)}
    (job,) = CheckpointTensors((), (filled,)).jobs(places)
    assert job.placements == (Placement("f", 8, Columns(1)), Placement("g", 16))
    assert (job.weight, job.encoding) == (WEIGHT, chosen)
