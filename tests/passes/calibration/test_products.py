"""Products of tokens with weights whose rows come in blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.weights import ArrayWeight
from passes.calibration.products import ConvolutionProduct, LinearProduct
from passes.calibration.reading import Block

RANDOM = np.random.default_rng(3)


def blocks(weight: ArrayWeight, step: int):
    for start in range(0, weight.rows, step):
        stop = min(start + step, weight.rows)
        yield Block(weight, start, stop, weight.read_rows(start, stop))


def multiplied(kind, weight, inputs, step):
    product = kind(weight, inputs)
    product.prepare()
    for block in blocks(weight, step):
        product.multiply(block)
    return product


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(1, 9), st.integers(1, 12))
def test_a_linear_product_is_that_of_each_text(lengths, rows, step):
    weight = ArrayWeight("w", RANDOM.normal(size=(rows, 6)).astype(np.float32))
    inputs = [RANDOM.normal(size=(1, length, 6)).astype(np.float32) for length in lengths]
    product = multiplied(LinearProduct, weight, inputs, step)
    np.testing.assert_array_equal(product.tokens, np.concatenate([x[0] for x in inputs]))
    for x, found in zip(inputs, product.outputs(), strict=True):
        np.testing.assert_allclose(found, x @ weight.array.T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("taps", [1, 2, 3])
@pytest.mark.parametrize("step", [2, 100])
def test_a_convolution_is_that_of_each_text(taps, step):
    import torch

    weight = ArrayWeight("w", RANDOM.normal(size=(5, 4, taps, 1)).astype(np.float32))
    inputs = [RANDOM.normal(size=(1, 4, n + taps - 1, 1)).astype(np.float32) for n in (1, 6)]
    product = multiplied(ConvolutionProduct, weight, inputs, step)
    own = np.concatenate([x[0, :, taps - 1 :, 0].T for x in inputs])
    np.testing.assert_array_equal(product.tokens, own)
    for x, found in zip(inputs, product.outputs(), strict=True):
        want = torch.conv2d(torch.from_numpy(x), torch.from_numpy(weight.array)).numpy()
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-5)
