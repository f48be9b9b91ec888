"""Convolutions as matrices: tap by tap, and two in one, read in pieces of any size."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convert import convolution_weights
from convert.convolution_weights import CarriedBias, CollapsedTaps, Taps
from convert.weights import ArrayWeight, FloatType, read_float32


def random(name, *shape, dtype=np.float32):
    rng = np.random.default_rng(len(name) + sum(shape))
    return ArrayWeight(name, rng.standard_normal(shape).astype(dtype))


def in_pieces(weight, step):
    ends = range(0, weight.rows, step)
    return np.concatenate([weight.read_rows(row, min(row + step, weight.rows)) for row in ends])


@pytest.mark.parametrize("taps", [1, 2, 3])
def test_taps_stand_apart(taps):
    weight = random("conv", 5, 7, taps, 1, dtype=ml_dtypes.bfloat16)
    matrix = Taps(weight)
    assert (matrix.name, matrix.shape, matrix.dtype) == ("conv", (5, 7 * taps), FloatType.BF16)
    expected = np.concatenate([weight.array[:, :, tap, 0] for tap in range(taps)], axis=1)
    np.testing.assert_array_equal(in_pieces(matrix, 2), expected)


@pytest.mark.parametrize(("inner_taps", "outer_taps"), [(2, 2), (3, 2), (1, 3)])
def test_two_convolutions_in_one(inner_taps, outer_taps, monkeypatch):
    """Against torch, which convolves twice."""
    import torch

    monkeypatch.setattr(convolution_weights, "_BLOCK_BYTES", 100)
    inner, outer = random("inner", 5, 7, inner_taps, 1), random("outer", 6, 5, outer_taps, 1)
    both = CollapsedTaps("both", outer, inner)
    past = inner_taps + outer_taps - 2
    assert (both.shape, both.dtype) == ((6, 7 * (past + 1)), FloatType.F32)
    x = np.random.default_rng(1).standard_normal((9, 7)).astype(np.float32)
    image = torch.from_numpy(x.T[None, :, :, None].copy())
    for weight in (inner, outer):
        image = torch.nn.functional.conv2d(image, torch.from_numpy(weight.array))
    beside = np.concatenate([x[tap : 9 - past + tap] for tap in range(past + 1)], axis=1)
    np.testing.assert_allclose(
        beside @ in_pieces(both, 4).T, image[0, :, :, 0].numpy().T, rtol=0, atol=1e-5
    )


def test_a_bias_comes_through_the_taps_that_see_a_token():
    outer, bias, added = random("outer", 6, 5, 2, 1), random("inner", 5), random("added", 6)
    first, second = (outer.array[:, :, tap, 0] @ bias.array for tap in (0, 1))
    newest = CarriedBias("b", outer, bias, (1,), added)
    np.testing.assert_allclose(read_float32(newest), second + added.array, rtol=1e-5)
    both = CarriedBias("b", outer, bias, (0, 1))
    assert (both.shape, both.dtype, both.columns) == ((6,), FloatType.F32, 1)
    np.testing.assert_allclose(in_pieces(both, 4)[:, 0], first + second, rtol=1e-5)
