"""The mask is the rule of its docstring, pair by pair."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.architectures.builder import GraphBuilder
from convert.architectures.masks import mask, slots
from convert.graph import QUERY_SLOTS
from tests.support.ort import OrtGraph

WINDOWS = (None, 1, 3)


@pytest.fixture(scope="module")
def graphs():
    def graph(window):
        b = GraphBuilder({})
        ids = b.input("input_ids", ir.DataType.INT64, ("batch", "sequence"))
        kept = b.input("attention_mask", ir.DataType.INT64, ("batch", "total_sequence"))
        at = slots(b, ids, kept)
        allowed = mask(b, at, window)
        return OrtGraph(b.model([allowed, at.query], "mask"))

    return {window: graph(window) for window in WINDOWS}


def expected(kept, new, window):
    batch, total = kept.shape
    allowed = np.zeros((batch, 1, new, total), bool)
    for row in range(batch):
        for query in range(new):
            slot = total - new + query
            for key in range(total):
                behind = key <= slot and (window is None or key > slot - window)
                allowed[row, 0, query, key] = behind and (kept[row, key] or key == slot)
    return allowed


@settings(max_examples=60, deadline=None)
@given(data=st.data(), window=st.sampled_from(WINDOWS))
def test_the_mask_is_the_rule(graphs, data, window):
    total = data.draw(st.integers(1, 9))
    new = data.draw(st.integers(1, total))
    rows = st.lists(st.integers(0, 1), min_size=total, max_size=total)
    kept = np.array(data.draw(st.lists(rows, min_size=1, max_size=3)), np.int64)
    outputs = graphs[window](input_ids=kept[:, :new], attention_mask=kept)
    allowed, column = outputs.values()
    np.testing.assert_array_equal(allowed, expected(kept, new, window))
    np.testing.assert_array_equal(column[:, 0], np.arange(total - new, total))
    assert allowed.any(axis=-1).all()
    assert f"{QUERY_SLOTS}.Unsqueeze" in outputs
