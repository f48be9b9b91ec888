"""Records hold what an encoding stores, in any order of rows."""

import numpy as np
import pytest

from passes.encodings import encoding
from passes.encodings.records import Recorded

CASES = [("int4_g17", 51), ("int4_g16", 48), ("int4_sym_g24", 72), ("nf4", 128), ("q4_1", 96)]


@pytest.mark.parametrize(("name", "columns"), CASES)
def test_planes_come_back_whatever_the_order_of_rows(name, columns):
    random = np.random.default_rng(3)
    stored = encoding(name)
    weights = random.standard_normal((16, columns)).astype(np.float32)
    recorded = Recorded(stored, columns, "label")
    records = recorded.records(stored.encode(weights), len(weights))
    assert records.shape == (16, recorded.record_bytes)
    order = random.permutation(16)
    halves = records.view(np.float16)[order]
    for found, wanted in zip(recorded.encode(halves), stored.encode(weights[order]), strict=True):
        assert np.array_equal(found, wanted)
    assert recorded.planes(7) == stored.planes(columns)
    assert recorded.name == f"{name} label"
    assert np.array_equal(
        recorded.decode(recorded.encode(halves), 16, halves.shape[1]),
        stored.decode(stored.encode(weights[order]), 16, columns),
    )
