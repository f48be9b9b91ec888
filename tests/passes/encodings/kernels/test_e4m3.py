"""E4M3 from float32 and back, held against ml_dtypes."""

import ml_dtypes
import numpy as np

from passes.encodings.kernels.e4m3 import from_e4m3, to_e4m3

E4M3 = np.arange(0x7F, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)


def test_every_e4m3_and_the_ties_between_them_round_as_ml_dtypes_rounds():
    between = (E4M3[1:] + E4M3[:-1]) / 2
    near = [np.nextafter(between, np.float32(bound)) for bound in (0, 448)]
    random = np.random.default_rng(0).uniform(0, 448, 2000).astype(np.float32)
    for value in np.concatenate([E4M3, between, *near, random, random * np.float32(2.0**-14)]):
        assert to_e4m3(value) == value.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


def test_every_e4m3_is_widened_exactly():
    assert [from_e4m3(np.uint32(code)) for code in range(0x7F)] == E4M3.tolist()


def test_what_is_too_large_for_e4m3_gets_a_code_above_all_others():
    for value in (464.1, 480.0, 1e9, 3e38, np.inf):
        assert to_e4m3(np.float32(value)) > 0x7E
