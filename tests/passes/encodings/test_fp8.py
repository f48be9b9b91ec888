"""E4M3 codes, held against torch, ml_dtypes and compressed-tensors."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import NonFiniteWeightError, UnsupportedEncodingError
from passes.encodings import encoding
from passes.encodings.fp8 import Fp8Rows, Fp8Tensor
from tests.support.rows import hard_rows

RANGES = pytest.mark.parametrize("largest", [448, 240])
ANY_COLUMNS = st.integers(1, 70)
VANISHING = 2.0**-126 * 448
"""Rows of no larger weights are stored as zeros."""


def codes_by_torch(rows, scales, largest):
    import torch

    weights = torch.from_numpy(rows.astype(np.float32))
    scaled = (weights / torch.from_numpy(scales)).clamp(-largest, largest)
    return scaled.to(torch.float8_e4m3fn).view(torch.uint8).numpy()


@RANGES
def test_every_code_decodes_as_torch_and_ml_dtypes_have_it(largest):
    import torch

    codes = np.arange(256, dtype=np.uint8)
    found = Fp8Tensor(largest).bound(float(largest)).decode((codes,), 1, 256)[0]
    by_torch = torch.from_numpy(codes).view(torch.float8_e4m3fn).float().numpy()
    np.testing.assert_array_equal(found, by_torch)
    np.testing.assert_array_equal(found, codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32))


@RANGES
@settings(max_examples=60, deadline=None)
@given(recipe=hard_rows(ANY_COLUMNS))
def test_codes_and_scales_are_those_of_torch(largest, recipe):
    rows = recipe.make()
    codes, scales = Fp8Rows(largest).encode(rows)
    scales = scales.view(np.float32)[:, None]
    assert np.array_equal(codes.reshape(rows.shape), codes_by_torch(rows, scales, largest))
    magnitudes = np.abs(rows.astype(np.float32)).max(1, keepdims=True)
    expected = magnitudes / np.float32(largest)
    vanishing = magnitudes < 2.0**-126 * largest
    assert np.array_equal(scales, np.where(vanishing, np.float32(1), expected))


@RANGES
@settings(max_examples=60, deadline=None)
@given(recipe=hard_rows(ANY_COLUMNS), share=st.sampled_from([1.0, 0.3, 1e-6]))
def test_a_scale_that_is_too_small_saturates_and_never_gives_nan(largest, recipe, share):
    rows = recipe.make()
    magnitude = float(np.abs(rows.astype(np.float32)).max())
    chosen = Fp8Tensor(largest).bound(magnitude * share)
    (codes,) = chosen.encode(rows)
    scales = np.full((1, 1), chosen.scale)
    assert np.array_equal(codes.reshape(rows.shape), codes_by_torch(rows, scales, largest))
    assert (codes & 0x7F).max() <= chosen.largest_byte


@settings(max_examples=60, deadline=None)
@given(recipe=hard_rows(ANY_COLUMNS))
def test_no_byte_of_the_half_range_has_the_exponent_that_gaudi2_cannot_read(recipe):
    rows = recipe.make()
    codes = Fp8Rows(240).encode(rows)[0]
    assert not ((codes & 0x78) == 0x78).any()
    assert np.abs(codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)).max() <= 240


def test_the_largest_codes_are_used():
    rows = np.array([[1.0, -1.0, 0.5]], np.float32)
    assert Fp8Rows().encode(rows)[0].tolist() == [0x7E, 0xFE, 0x76]
    assert Fp8Rows(240).encode(rows)[0].tolist() == [0x77, 0xF7, 0x6F]


@RANGES
@settings(max_examples=60, deadline=None)
@given(recipe=hard_rows(ANY_COLUMNS))
def test_no_weight_is_farther_than_half_a_last_place_from_its_code(largest, recipe):
    rows = recipe.make()
    chosen = Fp8Rows(largest)
    planes = chosen.encode(rows)
    weights, decoded = rows.astype(np.float64), chosen.decode(planes, *rows.shape)
    scales = planes[1].view(np.float32).astype(np.float64)[:, None]
    # Half of 2**-3 of the weight itself, or of the unit of denormals, 2**-9.
    bound = np.maximum(np.abs(weights) / 16, scales * 2.0**-10) * (1 + 1e-6)
    bound = np.where(np.abs(weights).max(1, keepdims=True) < VANISHING, VANISHING, bound)
    assert (np.abs(weights - decoded) <= bound).all()


@RANGES
def test_compressed_tensors_rounds_to_the_same_bytes(largest):
    import torch
    from compressed_tensors.quantization import QuantizationArgs
    from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize

    rows = np.random.default_rng(5).standard_normal((7, 33), np.float32)
    chosen = Fp8Rows(largest)
    codes, scales = chosen.encode(rows)
    arguments = QuantizationArgs(num_bits=8, type="float", strategy="channel")
    scale = torch.from_numpy(scales.view(np.float32)[:, None].copy())
    theirs = quantize(torch.from_numpy(rows), scale, None, arguments, dtype=torch.float8_e4m3fn)
    assert np.array_equal(theirs.view(torch.uint8).numpy().reshape(-1), codes)
    decoded = dequantize(theirs, scale, args=arguments).numpy()
    assert np.array_equal(chosen.decode((codes, scales), 7, 33), decoded)


@RANGES
def test_rows_and_a_bound_tensor_agree_where_all_rows_have_the_same_largest(largest):
    rows = np.random.default_rng(6).standard_normal((5, 40), np.float32).clip(-1, 1)
    rows[:, 0] = 1
    bound = Fp8Tensor(largest).bound(1.0)
    assert np.array_equal(bound.encode(rows)[0], Fp8Rows(largest).encode(rows)[0])


def test_an_unbound_tensor_knows_sizes_only():
    unbound = encoding("fp8_tensor_240")
    rows = np.ones((2, 8), np.float32)
    assert unbound.nbytes(2, 8) == 16
    assert not unbound.is_bound
    for use in (
        lambda: unbound.scale,
        lambda: unbound.encode(rows),
        lambda: unbound.reference(rows),
        lambda: unbound.decode((np.zeros(16, np.uint8),), 2, 8),
    ):
        with pytest.raises(UnsupportedEncodingError, match="is not known"):
            use()


def test_binding_leaves_the_original_unbound():
    unbound = Fp8Tensor(240)
    bound = unbound.bound(24.0)
    assert bound.scale == np.float32(0.1)
    assert bound.name == unbound.name == "fp8_tensor_240"
    assert not unbound.is_bound


@pytest.mark.parametrize("largest", [float("nan"), float("inf"), -1.0])
def test_a_tensor_cannot_be_bound_to_what_is_no_magnitude(largest):
    with pytest.raises(NonFiniteWeightError, match="no finite number"):
        Fp8Tensor().bound(largest)


def test_a_tensor_of_zeros_gets_a_scale_that_can_be_divided_by():
    assert Fp8Tensor().bound(0.0).scale == 1


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("fp8", "fp8"),
        ("fp8_240", "fp8"),
        ("fp8_tensor", "fp8_tensor"),
        ("fp8_tensor_240", "fp8_tensor"),
    ],
)
def test_the_range_does_not_change_the_family(name, family):
    assert encoding(name).family == family
