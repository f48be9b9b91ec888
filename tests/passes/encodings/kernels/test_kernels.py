"""The parts kernels are made of, each against numpy."""

import numpy as np
import pytest

from passes.encodings.kernels.bits import (
    as_float,
    bits_of,
    finite,
    float_of,
    from_half,
    half_above,
    is_infinite,
    ordered,
    reciprocal,
    to_half,
)
from passes.encodings.kernels.blocks import (
    extremes,
    farthest,
    first_with_magnitude,
    store_codes,
    store_half,
    store_nibbles,
)
from passes.encodings.kernels.compiling import BFLOAT16, FLOAT16, FLOAT32, compiled
from passes.encodings.kernels.floats import convert_floats
from passes.encodings.kernels.ggml import pack_halves
from passes.encodings.kernels.integers import group_scale
from passes.encodings.kernels.rows import columns_of, load_row, store_row

HALVES = np.arange(65536, dtype=np.uint32)


def python(kernel):
    """The function that is compiled, run by Python: quick, and checks the arithmetic as written."""
    return kernel.py_func


@compiled
def all_from_half(halves, out):
    for i in range(halves.size):
        out[i] = from_half(halves[i])


@compiled
def all_to_half(bits, out, above):
    for i in range(bits.size):
        out[i] = to_half(bits[i])
        above[i] = half_above(float_of(bits[i]))


def test_every_float16_is_widened_as_numpy_does():
    out = np.empty(65536, np.uint32)
    all_from_half(HALVES, out)
    expected = HALVES.astype(np.uint16).view(np.float16).astype(np.float32)
    finite_or_infinite = ~np.isnan(expected)
    assert np.array_equal(out[finite_or_infinite], expected.view(np.uint32)[finite_or_infinite])
    assert np.isnan(out.view(np.float32)[~finite_or_infinite]).all()


def test_float32_is_narrowed_as_numpy_does_around_every_float16():
    exact = HALVES.astype(np.uint16).view(np.float16)
    exact = exact[np.isfinite(exact)].astype(np.float32)
    middle = ((exact[:-1].astype(np.float64) + exact[1:]) / 2).astype(np.float32)
    near = np.concatenate([exact, middle, np.array([65519, 65520, 1e30, np.inf], np.float32)])
    values = np.concatenate(
        [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf))]
    )
    out, above = np.empty((2, values.size), np.uint32)
    all_to_half(values.view(np.uint32), out, above)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    assert np.array_equal(out, expected.view(np.uint16))
    short = np.abs(expected.astype(np.float32)) < np.abs(values)
    assert np.array_equal(above, expected.view(np.uint16) + short)


def test_ordered_sorts_bits_as_the_floats_they_hold():
    values = np.array([-np.inf, -2.0, -1e-45, -0.0, 0.0, 1e-45, 1.5, np.inf], np.float32)
    keys = [ordered(bits) for bits in values.view(np.uint32)]
    assert keys == sorted(set(keys))
    assert [bits_of(as_float(np.int32(key))) for key in keys] == values.view(np.uint32).tolist()


def test_extremes_show_what_is_not_finite():
    for bad in (np.nan, -np.nan, np.inf, -np.inf):
        block = np.array([[1, 2], [3, bad], [5, -6]], np.float32).view(np.uint32)
        assert extremes(block, 2) == (-6, 5)
        assert finite(*extremes(block, 2))
        assert not finite(*extremes(block, 1))


@pytest.mark.parametrize(
    ("block", "expected"), [([1, -3, 2], -3), ([1, -3, 3], -3), ([3, -3, 1], 3), ([0, 0, 0], 0)]
)
def test_the_farthest_of_equals_is_the_first(block, expected):
    bits = np.array([block], np.float32).view(np.uint32)
    assert farthest(bits, 0, *extremes(bits, 0)) == expected
    assert first_with_magnitude(bits, 0, np.float32(abs(expected))) == expected


@pytest.mark.parametrize("first", [0, 1, 4, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_nibbles_follow_those_that_are_there(first, count):
    codes = np.random.default_rng(count).integers(0, 256, first + count).astype(np.uint8)
    out = np.empty((first + count + 1) // 2, np.uint8)
    if first:
        store_nibbles(codes[:first], 0, out)
    store_codes(codes[first:], first, True, out)
    padded = np.append(codes & 15, np.zeros(out.size * 2 - codes.size, np.uint8))
    assert np.array_equal(out, padded[::2] | padded[1::2] << 4)


def test_codes_of_eight_bits_are_stored_as_bytes():
    out = np.zeros(5, np.uint8)
    store_codes(np.array([1, 255], np.uint8), 2, False, out)
    assert out.tolist() == [0, 0, 1, 255, 0]


def test_a_half_is_stored_low_byte_first():
    out = np.zeros((2, 4), np.uint8)
    store_half(np.uint32(0x3C01), out, 1, 2)
    assert out.tolist() == [[0, 0, 0, 0], [0, 0, 0x01, 0x3C]]


def test_codes_16_apart_share_a_byte():
    out = np.zeros((2, 18), np.uint8)
    codes = np.arange(32, dtype=np.uint8).reshape(1, 32) % 16
    python(pack_halves)(codes, 0, out, 1, 2)
    assert out[1].tolist() == [0, 0, *(i | i << 4 for i in range(16))]


def test_the_reciprocal_of_a_vanishing_scale_is_zero():
    assert reciprocal(np.float32(0)) == 0
    assert reciprocal(np.float32(1e-40)) == 0
    assert reciprocal(np.float32(-4)) == -0.25


def test_a_scale_that_cannot_be_stored_is_told_from_a_weight_that_is_no_number():
    large = np.array([[3e38, -3e38]], np.float32).view(np.uint32)
    nan = np.array([[np.nan, 0]], np.float32).view(np.uint32)
    assert group_scale(large, 0, 0, 15)[0] == 0x7C00
    assert group_scale(nan, 0, 0, 15)[0] == 0x7E00
    assert is_infinite(np.uint32(0x7C00))
    assert not is_infinite(np.uint32(0x7BFF))


@pytest.mark.parametrize("kind", [FLOAT32, FLOAT16, BFLOAT16])
def test_a_row_is_stored_as_it_was_loaded(kind):
    words = np.random.default_rng(kind).integers(0, 2**14, (3, 10)).astype(np.uint16)
    row = np.empty(columns_of(words, kind), np.uint32)
    again = np.zeros_like(words)
    for n in range(3):
        load_row(words, n, kind, row)
        store_row(row, n, kind, again)
    assert np.array_equal(again, words)


def test_the_name_of_a_kernel_holds_the_digest_of_all_kernels():
    """numba keeps compiled code under the name; a change of a helper must change it."""
    digests = {kernel.py_func.__qualname__.split("_")[-1] for kernel in (convert_floats, ordered)}
    assert len(digests) == 1
    assert len(digests.pop()) == 12


def test_a_kernel_that_cannot_be_cached_is_compiled_all_the_same():
    """A function without a file is to numba what a folder that cannot be written is."""
    namespace = {"__name__": "nowhere"}
    exec("def double(x):\n    return x * 2", namespace)
    assert compiled(namespace["double"])(21) == 42
