"""What the NF4 kernels are made of."""

import numpy as np
import pytest

from passes.encodings.kernels.e4m3 import from_e4m3, to_e4m3
from passes.encodings.kernels.nf4 import MIDPOINTS, NESTED_LIMIT, super_scale_for
from passes.encodings.nf4 import MIDPOINTS as EXPECTED


def test_the_midpoints_are_those_of_the_codebook():
    assert np.array_equal(np.array(MIDPOINTS, np.float32), EXPECTED)


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
