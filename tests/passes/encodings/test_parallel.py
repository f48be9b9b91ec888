"""Encoding on several threads gives the bytes that one gives."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from convert.errors import NonFiniteWeightError
from passes.encodings import encoding
from passes.encodings.parallel import encode_in_parallel


@pytest.mark.parametrize("count", [1, 8, 21, 64])
@pytest.mark.parametrize("name", ["bf16", "q4_0", "int8", "int4_g19"])
def test_the_planes_are_those_of_one_thread(name, count):
    columns = 95 if name == "int4_g19" else 96
    rows = np.random.default_rng(0).standard_normal((count, columns), np.float32)
    with ThreadPoolExecutor(3) as pool:
        found = encode_in_parallel(encoding(name), rows, pool, 3)
    expected = encoding(name).reference(rows)
    assert [plane.tobytes() for plane in found] == [plane.tobytes() for plane in expected]


def test_an_error_on_any_thread_is_raised():
    rows = np.zeros((64, 32), np.float32)
    rows[-1, -1] = np.nan
    with ThreadPoolExecutor(2) as pool, pytest.raises(NonFiniteWeightError):
        encode_in_parallel(encoding("q8_0"), rows, pool, 2)
