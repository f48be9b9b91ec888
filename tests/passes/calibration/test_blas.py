"""Products of matrices stay on the thread that asks for them, and what was set comes back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from passes.calibration import blas
from passes.calibration.blas import arithmetic, one_thread_each, threads_each


@pytest.fixture
def threads():
    """How many threads share a product, or skip where numpy has another library."""
    get = blas._function("get_num_threads")
    if get is None:
        pytest.skip("numpy does not multiply with OpenBLAS")
    return get


def test_one_thread_within_and_as_many_as_before_after(threads):
    before = threads()
    with one_thread_each():
        assert threads() == 1
        with one_thread_each():
            assert threads() == 1
    assert threads() == before
    with pytest.raises(KeyError), one_thread_each():
        raise KeyError
    assert threads() == before


def test_products_on_several_threads_are_those_of_one():
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=(rows, 700)).astype(np.float32) for rows in (60, 4096))

    def product(start):
        return x @ w[start : start + 128].T

    starts = range(0, 4096, 128)
    with one_thread_each(), ThreadPoolExecutor(4) as pool:
        found = list(pool.map(product, starts))
        assert all(map(np.array_equal, found, map(product, starts)))


def test_libraries_without_such_a_function_are_left_alone(monkeypatch, threads):
    before = threads()
    monkeypatch.setattr(blas, "_FORMS", ())
    with one_thread_each():
        assert threads() == before


def test_as_many_threads_as_are_asked_for_and_none_leaves_them(threads):
    before = threads()
    assert blas.threads() == before
    with threads_each(3):
        assert blas.threads() == threads() == 3
        with threads_each(None):
            assert threads() == 3
    assert threads() == before


def test_arithmetic_is_known_by_version_instructions_and_kernels(threads, monkeypatch):
    own = arithmetic()
    assert own == arithmetic()
    found = {own}
    with monkeypatch.context() as patch:
        patch.setattr(np, "__version__", "1.0")
        found.add(arithmetic())
    with monkeypatch.context() as patch:
        patch.setattr(blas, "_FORMS", ())
        found.add(arithmetic())
        assert blas.threads() is None
    features = np._core._multiarray_umath.__cpu_features__
    with monkeypatch.context() as patch:
        patch.setitem(features, next(iter(features)), not features[next(iter(features))])
        found.add(arithmetic())
    assert len(found) == 4
    assert own == arithmetic()
