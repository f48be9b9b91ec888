"""What the NF4 kernels are made of."""

import ml_dtypes
import numpy as np
import pytest

from passes.encodings.kernels.nf4 import (
    MIDPOINTS,
    NESTED_LIMIT,
    from_e4m3,
    super_scale_for,
    to_e4m3,
)
from passes.encodings.nf4 import MIDPOINTS as EXPECTED

E4M3 = np.arange(0x7F, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)


def test_the_midpoints_are_those_of_the_codebook():
    assert np.array_equal(np.array(MIDPOINTS, np.float32), EXPECTED)


def test_every_e4m3_and_the_ties_between_them_round_as_ml_dtypes_rounds():
    between = (E4M3[1:] + E4M3[:-1]) / 2
    near = [np.nextafter(between, np.float32(bound)) for bound in (0, 448)]
    random = np.random.default_rng(0).uniform(0, 448, 2000).astype(np.float32)
    for value in np.concatenate([E4M3, between, *near, random, random * np.float32(2.0**-14)]):
        assert to_e4m3(value) == value.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


def test_every_e4m3_is_widened_exactly():
    assert [from_e4m3(np.uint32(code)) for code in range(0x7F)] == E4M3.tolist()


@pytest.mark.parametrize(
    ("largest", "expected"), [(448, 1), (448.1, 2), (224, 0.5), (3e38, 2.0**120), (0, 2.0**-126)]
)
def test_the_super_scale_is_the_least_power_of_two_that_suffices(largest, expected):
    assert super_scale_for(np.float32(largest).view(np.uint32)) == expected


def test_the_limit_is_the_first_magnitude_whose_scale_is_infinite():
    for bits, finite in ((NESTED_LIMIT - 1, True), (NESTED_LIMIT, False)):
        super_scale = super_scale_for(np.uint32(bits))
        code = to_e4m3(np.uint32(bits).view(np.float32) / super_scale)
        with np.errstate(over="ignore"):
            assert np.isfinite(np.float32(from_e4m3(code)) * np.float32(super_scale)) == finite
