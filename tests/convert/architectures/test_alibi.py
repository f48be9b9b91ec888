"""The slopes are transformers', and the biases their products with the distances."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures.alibi import FORBIDDEN, biased_mask, linear_biases, slopes
from convert.architectures.builder import GraphBuilder
from convert.architectures.masks import mask, slots
from tests.support.ort import OrtGraph


def test_slopes_of_any_number_of_heads_are_those_of_transformers():
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    for heads in (*range(1, 130), 255, 256, 257):
        expected = _get_alibi_slopes(heads, "cpu").numpy()
        assert slopes(heads).dtype == np.float32
        np.testing.assert_allclose(slopes(heads), expected, rtol=3e-7, atol=0)


def test_slopes_of_six_heads_interleave_those_of_four_and_eight():
    expected = [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]
    np.testing.assert_array_equal(slopes(6), np.array(expected, np.float32))


@pytest.mark.parametrize("past", [0, 4])
def test_biases_count_back_from_the_query_and_forbid_what_the_mask_hides(past):
    heads, batch, new = 3, 2, 3
    b = GraphBuilder({})
    ids = b.input("input_ids", ir.DataType.INT64, ("batch", "sequence"))
    kept = b.input("attention_mask", ir.DataType.INT64, ("batch", "total_sequence"))
    at = slots(b, ids, kept)
    allowed = mask(b, at, None)
    biased = biased_mask(b, allowed, linear_biases(b, at, heads), heads)
    graph = OrtGraph(b.model([allowed, biased], "mask"))
    padding = np.ones((batch, past + new), np.int64)
    padding[1, :2] = 0
    out = graph(input_ids=np.zeros((batch, new), np.int64), attention_mask=padding)
    found, seen = out["mask.full.alibi"], out["mask.full.allowed"]
    assert found.shape == (batch, heads, new, past + new)
    distance = np.arange(past + new) - np.arange(past, past + new)[:, None]
    bias = slopes(heads).reshape(heads, 1, 1) * distance
    expected = np.where(seen, bias.astype(np.float32), np.float32(FORBIDDEN))
    np.testing.assert_array_equal(found, expected)
    assert not seen.all() and seen.any(-1).all()


def test_what_is_forbidden_is_finite_in_bfloat16():
    assert np.isfinite(np.array(FORBIDDEN).astype(ml_dtypes.bfloat16).astype(np.float32))
