"""The parts kernels are made of, each against numpy."""

import numpy as np
import pytest

from passes.encodings.kernels.bits import (
    as_float,
    bits_of,
    float_of,
    from_half,
    half_above,
    halves_above,
    halves_of,
    ordered,
    reciprocals,
    to_half,
)
from passes.encodings.kernels.blocks import extremes, farthest, magnitudes
from passes.encodings.kernels.codes import (
    copy_codes,
    pack_halves,
    round_codes_away,
    store_heads,
    store_nibbles,
)
from passes.encodings.kernels.compiling import (
    BFLOAT16,
    FINE,
    FLOAT16,
    FLOAT32,
    NOT_FINITE,
    OUT_OF_RANGE,
    compiled,
)
from passes.encodings.kernels.floats import convert_floats, copy_row
from passes.encodings.kernels.ggml import ggml_q4_0, ggml_q4_1, ggml_q8_0
from passes.encodings.kernels.integers import integer_groups
from passes.encodings.kernels.rows import columns_of, load_row, store_row

HALVES = np.arange(65536, dtype=np.uint32)


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


def look_up(*blocks):
    """What the kernels find in blocks: finite, positive and negative magnitudes, bits, width."""
    row = np.array(blocks, np.float32)
    bits, width = row.reshape(-1).view(np.uint32), np.uint64(row.shape[1])
    positive, negative = np.empty((2, len(blocks)), np.uint32)
    fine = magnitudes(bits, width, positive, negative)
    return fine, positive, negative, bits, width


def test_magnitudes_are_those_of_the_largest_and_the_smallest():
    fine, positive, negative, _, _ = look_up([1, -6, 5], [-2, -3, -4], [7, 8, 0], [0, -0.0, 0])
    assert fine
    assert positive.view(np.float32).tolist() == [5, 0, 8, 0]
    assert negative.view(np.float32).tolist() == [6, 4, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("block", [0, 1])
def test_magnitudes_show_what_is_not_finite(bad, block):
    blocks = [[1.0, 2.0], [3.0, -4.0]]
    blocks[block][1] = bad
    assert not look_up(*blocks)[0]


@pytest.mark.parametrize(
    ("block", "expected"),
    [([1, -3, 2], -3), ([1, -3, 3], -3), ([3, -3, 1], 3), ([0, 0, 0], 0), ([-1, -2, -1], -2)],
)
def test_the_farthest_of_equals_is_the_first(block, expected):
    _, positive, negative, bits, width = look_up([9, 9, 9], block)
    found = np.empty(2, np.float32)
    farthest(bits, width, positive, negative, found)
    assert found.tolist() == [9, expected]


@pytest.mark.parametrize(
    "block", [[1, -3, 2], [1, 3, 2], [-1, -3, -2], [0, 3, 2], [0, -3, -2], [5, 5, 5], [0, 0, 0]]
)
def test_extremes_are_exact_where_all_weights_have_one_sign(block):
    _, positive, negative, bits, width = look_up([9, 9, -9], block)
    low, high = np.empty((2, 2), np.float32)
    extremes(bits, width, positive, negative, low, high)
    assert (low[1], high[1]) == (min(block), max(block))


@pytest.mark.parametrize(("block", "sign"), [([0.0, -0.0, 1], False), ([-0.0, 0.0, 1], True)])
def test_the_smallest_of_zeros_is_the_first(block, sign):
    _, positive, negative, bits, width = look_up(block)
    low, high = np.empty((2, 1), np.float32)
    extremes(bits, width, positive, negative, low, high)
    assert (low[0], np.signbit(low[0])) == (0, sign)


@pytest.mark.parametrize("first", [0, 1, 4, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_nibbles_follow_those_that_are_there(first, count):
    codes = np.random.default_rng(count).integers(0, 256, first + count).astype(np.uint8)
    out = np.empty((first + count + 1) // 2, np.uint8)
    if first:
        store_nibbles(codes[:first], np.uint64(0), out)
    store_nibbles(codes[first:], np.uint64(first), out)
    padded = np.append(codes & 15, np.zeros(out.size * 2 - codes.size, np.uint8))
    assert np.array_equal(out, padded[::2] | padded[1::2] << 4)


def test_a_block_is_its_head_and_then_its_codes():
    stored = np.zeros((2, 17), np.uint16)
    codes = np.arange(64, dtype=np.uint8)
    store_heads(np.array([0x3C01, 0x3C02], np.uint16), stored, np.uint64(0))
    copy_codes(codes.view(np.uint16), stored, np.uint64(1))
    assert stored.view(np.uint8)[1].tolist() == [0x02, 0x3C, *range(32, 64)]


def test_codes_16_apart_share_a_byte():
    stored = np.zeros((2, 9), np.uint16)
    codes = np.tile(np.arange(16, dtype=np.uint8), 4)
    codes[:32] = 0
    pack_halves(codes.view(np.uint16), stored, np.uint64(1))
    assert stored.view(np.uint8)[1].tolist() == [0, 0, *(i | i << 4 for i in range(16))]


def test_the_reciprocal_of_a_vanishing_scale_is_zero():
    scales = np.array([0, 1e-40, -4], np.float32)
    reciprocals(scales)
    assert scales.tolist() == [0, 0, -0.25]


def test_scales_that_are_too_large_for_a_float16_are_told():
    halves = np.empty(2, np.uint16)
    assert halves_of(np.array([1, -65519], np.float32), halves)
    assert halves.view(np.float16).tolist() == [1, -65504]
    assert not halves_of(np.array([1, 65520], np.float32), halves)
    values = np.array([1.0001, -65504], np.float32)
    assert halves_above(values, halves)
    assert values.tolist() == halves.view(np.float16).tolist() == [1.0009765625, -65504]
    assert not halves_above(np.array([-65505, 0], np.float32), halves)


def test_a_row_of_sixteen_bits_is_copied_and_its_largest_magnitude_told():
    words = np.array([0x3F80, 0xC000, 0x0001], np.uint16)
    out = np.zeros_like(words)
    assert copy_row(words, out) == 0x4000
    assert np.array_equal(out, words)


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


def test_halves_are_rounded_away_from_zero_and_their_neighbours_to_the_nearest():
    middles = np.arange(-126.5, 127, 1, np.float32)
    values = np.concatenate(
        [middles, np.nextafter(middles, np.float32(-200)), np.nextafter(middles, np.float32(200))]
    )
    codes = np.empty(values.size, np.uint8)
    one = np.ones(1, np.float32)
    round_codes_away(values.view(np.uint32), np.uint64(values.size), one, codes)
    exact = values.astype(np.float64)
    expected = np.sign(exact) * np.floor(np.abs(exact) + 0.5)
    assert np.array_equal(codes.view(np.int8), expected)


@pytest.mark.parametrize(
    ("kernel", "block_words"), [(ggml_q8_0, 17), (ggml_q4_0, 9), (ggml_q4_1, 10)]
)
def test_a_block_kernel_tells_a_scale_too_large_from_a_weight_that_is_no_number(
    kernel, block_words
):
    rows = np.tile(np.float32([1, -1]), (2, 32))
    stored = np.zeros((4, block_words), np.uint16)
    assert kernel(rows.view(np.uint16), FLOAT32, stored) == FINE
    assert stored.any(axis=1).all()
    rows[1, 40] = 3e38
    assert kernel(rows.view(np.uint16), FLOAT32, stored) == OUT_OF_RANGE
    rows[1, 40] = np.nan
    assert kernel(rows.view(np.uint16), FLOAT32, stored) == NOT_FINITE


@pytest.mark.parametrize(("lowest", "highest"), [(-127, 127), (0, 255), (-8, 7), (0, 15)])
def test_the_integer_kernel_tells_a_scale_too_large_from_a_weight_that_is_no_number(
    lowest, highest
):
    rows = np.tile(np.float32([1, -1]), (2, 32))
    codes, scales, zeros = np.zeros(128, np.uint8), np.zeros(4, np.uint16), np.zeros(4, np.uint8)

    def report():
        words = rows.view(np.uint16)
        return integer_groups(words, FLOAT32, lowest, highest, codes, scales, zeros)

    assert report() == FINE
    assert scales.all()
    rows[1, 40] = 3e38
    assert report() == OUT_OF_RANGE
    rows[1, 40] = np.inf
    assert report() == NOT_FINITE
