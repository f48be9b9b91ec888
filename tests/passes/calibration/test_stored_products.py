"""Products with rows as they are stored, in matrix tiles where the processor has them."""

from __future__ import annotations

from threading import local

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.weights import ArrayWeight, FloatType
from passes.calibration import stored_products
from passes.calibration.processor import has_matrix_tiles
from passes.calibration.reading import Block
from passes.calibration.stored_products import TiledProduct, WidenedProduct, split, suits_tiles

RANDOM = np.random.default_rng(5)
needs_tiles = pytest.mark.skipif(not has_matrix_tiles(), reason="the processor has no tiles")


def weight_of(rows, columns, dtype=ml_dtypes.bfloat16):
    return ArrayWeight("w", RANDOM.normal(size=(rows, columns)).astype(dtype))


def inputs_of(lengths, columns):
    return [RANDOM.normal(size=(1, length, columns)).astype(np.float32) for length in lengths]


def multiplied(product, weight, step):
    product.prepare()
    for start in range(0, weight.rows, step):
        stop = min(start + step, weight.rows)
        product.multiply(Block(weight, start, stop, weight.read_rows(start, stop)))
    return product.outputs()


def tiled(weight, inputs, step):
    product = TiledProduct(weight, inputs)
    product.inputs = split(product.tokens)
    return multiplied(product, weight, step)


@pytest.mark.parametrize("dtype", FloatType)
def test_rows_of_any_type_are_widened(dtype):
    weight, inputs = weight_of(20, 6, dtype.numpy), inputs_of([3, 1], 6)
    found = multiplied(WidenedProduct(weight, inputs, local()), weight, 8)
    for x, products in zip(inputs, found, strict=True):
        want = x.astype(np.float64) @ weight.array.astype(np.float64).T
        np.testing.assert_allclose(products, want, rtol=0, atol=1e-5)


@needs_tiles
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(1, 90),
    st.sampled_from([32, 96, 1088]),
)
def test_tiles_give_almost_what_float64_gives(lengths, rows, columns):
    weight, inputs = weight_of(rows, columns), inputs_of(lengths, columns)
    for x, products in zip(inputs, tiled(weight, inputs, 64), strict=True):
        assert products.shape == (*x.shape[:-1], rows)
        want = x.astype(np.float64) @ weight.array.astype(np.float64).T
        magnitude = np.abs(x) @ np.abs(weight.array.astype(np.float32)).T
        # Two bfloat16 numbers hold a float32 to 2**-17 of it; sums are rounded besides.
        assert np.all(np.abs(products - want) <= 2.0**-17 * magnitude)


@needs_tiles
def test_inputs_that_one_bfloat16_holds_give_exact_products():
    weight = ArrayWeight("w", RANDOM.integers(-8, 9, (64, 64)).astype(ml_dtypes.bfloat16))
    inputs = [RANDOM.integers(-8, 9, (1, 33, 64)).astype(np.float32)]
    want = inputs[0] @ weight.array.astype(np.float32).T
    np.testing.assert_array_equal(tiled(weight, inputs, 64)[0], want)


@needs_tiles
def test_a_product_does_not_depend_on_the_rows_beside_it():
    weight, inputs = weight_of(150, 2048), inputs_of([70], 2048)
    [whole] = tiled(weight, inputs, 150)
    for step in (32, 64, 7):
        np.testing.assert_array_equal(tiled(weight, inputs, step)[0], whole)


def test_tiles_are_for_bfloat16_rows_that_fill_them(monkeypatch):
    monkeypatch.setattr(stored_products, "has_matrix_tiles", lambda: True)
    assert suits_tiles(weight_of(5, 64))
    assert not suits_tiles(weight_of(5, 48))
    assert not suits_tiles(weight_of(5, 64, np.float32))
    assert not suits_tiles(weight_of(5, 64, np.float16))
    monkeypatch.setattr(stored_products, "has_matrix_tiles", lambda: False)
    assert not suits_tiles(weight_of(5, 64))
