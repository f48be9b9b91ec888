"""NF4: codes against exact arithmetic and bitsandbytes, scales against ml_dtypes, sizes."""

from bisect import bisect_left
from fractions import Fraction
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from convert.errors import NonFiniteWeightError
from convert.weights import FloatType
from passes.encodings import encoding
from passes.encodings.nf4 import (
    CODEBOOK,
    MIDPOINTS,
    Nf4,
    Nf4DoubleQuantized,
    shared_rows,
    super_group_of,
)
from tests.support.rows import HardRows, hard_rows

BOTH = [Nf4(), Nf4DoubleQuantized()]
both = pytest.mark.parametrize("chosen", BOTH, ids=lambda each: each.name)
quick = settings(max_examples=40, deadline=None)

# Rows whose scales fill a part of a float32 scale's 256, all of them, and several times 256.
MANY_GROUPS = st.sampled_from([1, 3, 9, 32, 33, 64, 100, 128, 129, 256, 257, 300, 512])


def gaussian(rows, columns, seed=0, dtype=ml_dtypes.bfloat16):
    values = np.random.default_rng(seed).standard_normal((rows, columns), np.float32)
    return (values * np.float32(0.02)).astype(dtype)


def codes_of(packed):
    return np.stack([packed & 15, packed >> 4], -1).reshape(-1)


def scales_of(chosen, planes, rows, groups):
    if isinstance(chosen, Nf4DoubleQuantized):
        fine = planes[1].view(ml_dtypes.float8_e4m3fn).astype(np.float32)
        return fine * planes[2].view(np.float32)[super_group_of(rows, groups)]
    return planes[1].view(np.float16).astype(np.float32)


@quick
@given(recipe=hard_rows(MANY_GROUPS.map(lambda groups: 16 * groups)))
def test_the_kernel_of_nested_scales_equals_the_reference_for_any_number_of_groups(recipe):
    rows, chosen = recipe.make(), Nf4DoubleQuantized(16)
    for found, expected in zip(chosen.encode(rows), chosen.reference(rows), strict=True):
        assert np.array_equal(found, expected)


def exact_codes(weights, scales):
    """Codes by fractions, and whether each weight is about as near to the next one."""
    table = [Fraction(float(value)) for value in CODEBOOK]
    midpoints = [(low + high) / 2 for low, high in pairwise(table)]
    codes, tied = [], []
    for weight, scale in zip(weights, scales, strict=True):
        x = Fraction(float(weight)) / Fraction(float(scale)) if scale else Fraction(0)
        codes.append(bisect_left(midpoints, x))
        tied.append(min(abs(x - bound) for bound in midpoints) < Fraction(1, 2**22))
    return np.array(codes), np.array(tied)


@both
@settings(max_examples=25, deadline=None)
@given(recipe=hard_rows(st.sampled_from([64, 192])))
@example(recipe=HardRows(1, 64, FloatType.F32, seed=3, scale=1e-39, hard_share=0.0))
def test_codes_are_the_nearest_by_exact_arithmetic(chosen, recipe):
    rows = recipe.make()[:3]
    planes, groups = chosen.encode(rows), rows.shape[1] // 64
    scales = np.repeat(scales_of(chosen, planes, len(rows), groups), 64)
    # Where the reciprocal of a scale is no float32, its codes are zeros.
    with np.errstate(over="ignore", divide="ignore"):
        scales = np.where(np.isinf(np.float32(1) / scales), 0, scales)
    expected, tied = exact_codes(rows.reshape(-1).astype(np.float32), scales)
    assert np.array_equal(codes_of(planes[0])[~tied], expected[~tied])


@pytest.mark.parametrize("dtype", FloatType)
def test_codes_and_scales_equal_those_of_bitsandbytes(dtype):
    functional = pytest.importorskip("bitsandbytes.functional")
    import torch

    rows = gaussian(64, 1024, dtype=dtype.numpy)
    # Largest magnitudes that float16 holds exactly: bitsandbytes keeps its scales in float32.
    rows[:, 5::64] = np.random.default_rng(1).integers(30, 60, (64, 16)) / -256
    tensor = torch.from_numpy(rows.astype(np.float32)).to(getattr(torch, TORCH[dtype]))
    packed, state = functional.quantize_4bit(tensor, blocksize=64, quant_type="nf4")
    theirs = packed.numpy().reshape(-1)
    theirs = (theirs >> np.uint8(4)) | (theirs << np.uint8(4))  # they put the first code high
    codes, scales = Nf4().encode(rows)
    assert np.array_equal(state.code.numpy(), CODEBOOK)
    assert np.array_equal(scales.view(np.float16).astype(np.float32), state.absmax.numpy())
    assert np.array_equal(codes, theirs)


TORCH = {FloatType.F32: "float32", FloatType.F16: "float16", FloatType.BF16: "bfloat16"}


def test_the_codebook_is_exact_where_it_matters():
    assert CODEBOOK[7] == 0
    assert CODEBOOK[0] == -CODEBOOK[15] == -1


@both
def test_zeros_and_every_value_of_the_codebook_are_kept_exactly(chosen):
    rows = np.tile(CODEBOOK, (8, 16)) * np.float32(0.25)
    assert np.array_equal(chosen.decode(chosen.encode(rows), *rows.shape), rows)


@both
def test_of_two_equally_near_codes_the_lower_is_taken(chosen):
    ties = np.concatenate([MIDPOINTS, np.zeros(48, np.float32), [np.float32(1)]])[None]
    ties = ties.astype(np.float32)
    assert codes_of(chosen.encode(ties)[0])[:15].tolist() == list(range(15))
    above = np.nextafter(ties, np.float32(2))
    above[0, -1] = 1
    assert codes_of(chosen.encode(above)[0])[:15].tolist() == list(range(1, 16))


def test_nibbles_lie_low_half_first():
    rows = np.zeros((1, 64), np.float32)
    rows[0, :3] = (-1, 1, 0.44)
    assert Nf4().encode(rows)[0][:2].tobytes() == bytes([0xF0, 0x7C])


@pytest.mark.parametrize(
    ("largest", "super_scale"),
    [(448, 1), (449, 2), (224, 0.5), (225, 1), (1e-37, 2.0**-126), (0, 2.0**-126)],
)
def test_the_float32_scale_is_the_least_power_of_two_that_suffices(largest, super_scale):
    rows = np.zeros((1, 128), np.float32)
    rows[0, 70] = -largest
    for encode in (Nf4DoubleQuantized().encode, Nf4DoubleQuantized().reference):
        assert encode(rows)[2].view(np.float32).tolist() == [super_scale]


def test_a_nested_scale_is_within_a_sixteenth_of_the_largest_weight():
    rows, chosen = gaussian(16, 8192), Nf4DoubleQuantized()
    stored = scales_of(chosen, chosen.encode(rows), 16, 128)
    largest = np.abs(rows.astype(np.float32)).reshape(-1, 64).max(1)
    assert (np.abs(stored / largest - 1) <= 1 / 16).all()


@pytest.mark.parametrize("columns", [2048, 4096, 8192, 32768])
def test_where_rows_are_cut_does_not_change_what_is_stored(columns):
    """A shard by rows or by columns decodes to its part of the whole."""
    chosen, rows = Nf4DoubleQuantized(), gaussian(12, columns)
    whole = chosen.decode(chosen.encode(rows), 12, columns)
    for part in (np.s_[:5], np.s_[5:], np.s_[:, : columns // 4], np.s_[:, -columns // 2 :]):
        shard = np.ascontiguousarray(rows[part])
        assert np.array_equal(chosen.decode(chosen.encode(shard), *shard.shape), whole[part])


def test_groups_that_vanish_beside_their_neighbours_become_zeros():
    rows = np.full((8, 128), 1e-9, np.float32)
    rows[0, :64] = 1.0
    decoded = Nf4DoubleQuantized().decode(Nf4DoubleQuantized().encode(rows), 8, 128)
    assert (decoded[0, :64] == 1).all()
    assert not decoded[1:].any()


@pytest.mark.parametrize(
    ("columns", "shared", "float32_scales", "bits"),
    [
        (8192, 2, 1, 4.12695),
        (32768, 1, 2, 4.12695),
        (2048, 8, 1, 4.12695),
        (4096, 4, 1, 4.12695),
        (11008, 1, 1, 4.12791),
        (28672, 1, 2, 4.12723),
        (576, 8, 1, 4.13194),
        (64, 8, 1, 4.1875),
    ],
)
def test_nested_scales_take_an_eighth_of_a_bit(columns, shared, float32_scales, bits):
    chosen = Nf4DoubleQuantized()
    plane = chosen.planes(columns)[2]
    assert (plane.shared_rows, plane.row_shape) == (shared, (float32_scales,))
    assert shared_rows(columns // 64) == shared
    assert chosen.bits_per_weight(columns) == pytest.approx(bits, abs=5e-6)
    assert 8 * chosen.nbytes(64, columns) / (64 * columns) == chosen.bits_per_weight(columns)


def test_scales_of_a_hundred_billion_weights():
    """(100e9/64) + (100e9/64/256) * 4 bytes, where float32 scales would take (100e9/64) * 4."""
    rows = 100_000_000_000 // 8192
    codes, scales, super_scales = Nf4DoubleQuantized().planes(8192)
    assert codes.nbytes(rows) == pytest.approx(50e9, rel=1e-6)
    assert scales.nbytes(rows) + super_scales.nbytes(rows) == pytest.approx(1.587e9, rel=1e-3)
    assert 4 * scales.nbytes(rows) == pytest.approx(6.25e9, rel=1e-6)
    assert Nf4().planes(8192)[1].nbytes(rows) == pytest.approx(3.125e9, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "columns", "fitted"),
    [
        ("nf4", 8192, "nf4"),
        ("nf4", 96, "nf4_g32"),
        ("nf4_dq", 144, "nf4_dq_g16"),
        ("nf4_g128", 576, "nf4"),
        ("nf4_g256", 128 * 3, "nf4_g128"),
        ("nf4", 100, None),
        ("nf4_dq", 8, None),
    ],
)
def test_the_largest_power_of_two_that_divides_the_columns_is_taken(name, columns, fitted):
    found = encoding(name).fit(columns)
    assert (found.name if found else None) == fitted
    if found:
        assert found.family == encoding(name).family
        assert found.fit(columns) is found


@both
def test_a_chunk_that_is_not_finite_is_refused_wherever_it_is(chosen):
    for row, column in ((0, 0), (8, 100), (16, 2047)):
        rows = gaussian(17, 2048, dtype=np.float32)
        rows[row, column] = np.nan
        with pytest.raises(NonFiniteWeightError):
            chosen.encode(rows)


def test_rows_that_share_a_scale_may_end_early():
    recipe = HardRows(11, 2048, FloatType.F32, 1, 1.0, 0.05)
    for count in range(1, 12):
        rows = recipe.make()[:count]
        planes = Nf4DoubleQuantized().encode(rows)
        assert planes[2].size == 4 * -(-count // 8)
        assert np.abs(Nf4DoubleQuantized().decode(planes, *rows.shape)).max() > 0
