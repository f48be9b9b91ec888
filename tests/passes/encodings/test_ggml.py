"""ggml's block formats against the gguf package, and against blocks written down by hand."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.weights import FloatType
from passes.encodings.ggml import pack_halves, unpack_halves
from passes.encodings.q4_0 import Q4_0
from passes.encodings.q4_1 import Q4_1
from passes.encodings.q5_1 import Q5_1
from passes.encodings.q8_0 import Q8_0
from tests.support.rows import HardRows

FORMATS = [Q8_0(), Q4_0(), Q4_1(), Q5_1()]
KIND = {each.name: gguf.GGMLQuantizationType[each.name.upper()] for each in FORMATS}

# Scales whose reciprocal is finite: below, ggml's codes are undefined.
gaussian = st.builds(
    HardRows,
    rows=st.integers(1, 5),
    columns=st.sampled_from([32, 96, 576]),
    dtype=st.sampled_from(FloatType),
    seed=st.integers(0, 2**16),
    scale=st.sampled_from([1e-6, 0.02, 1.0, 1000.0]),
    hard_share=st.just(0.0),
)


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda each: each.name)
@settings(max_examples=60, deadline=None)
@given(recipe=gaussian)
def test_blocks_equal_those_of_the_gguf_package(chosen, recipe):
    rows = recipe.make()
    expected = quantize(rows.astype(np.float32), KIND[chosen.name])
    assert np.array_equal(chosen.encode(rows)[0], expected.reshape(-1))


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda each: each.name)
def test_ties_and_equal_extremes_equal_those_of_the_gguf_package(chosen):
    integers = np.random.default_rng(0).integers(-16, 17, (2000, 32))
    rows = (integers / 2).astype(np.float32) + np.float32(0)
    expected = quantize(rows, KIND[chosen.name])
    assert np.array_equal(chosen.encode(rows)[0], expected.reshape(-1))


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda each: each.name)
@settings(max_examples=30, deadline=None)
@given(recipe=gaussian)
def test_the_gguf_package_decodes_what_we_decode(chosen, recipe):
    rows = recipe.make()
    planes = chosen.encode(rows)
    expected = dequantize(planes[0].reshape(len(rows), -1), KIND[chosen.name])
    assert np.array_equal(chosen.decode(planes, *rows.shape), expected)


def test_a_q4_0_block_byte_for_byte():
    weights = np.zeros((1, 32), np.float32)
    weights[0, :3], weights[0, 16:18] = (-8.0, 7.0, 0.5), (3.0, -1.0)
    block = Q4_0().encode(weights)[0].tobytes()
    assert block[:2] == bytes.fromhex("003c")
    assert block[2:5] == bytes([0xB0, 0x7F, 0x89])
    assert set(block[5:]) == {0x88}


def test_a_q8_0_block_rounds_half_away_from_zero():
    weights = np.zeros((1, 32), np.float32)
    weights[0, :5] = (127.0, 0.5, -0.5, 2.5, np.nextafter(np.float32(0.5), np.float32(0)))
    block = Q8_0().encode(weights)[0]
    assert block[:2].tobytes() == bytes.fromhex("003c")
    assert block[2:7].view(np.int8).tolist() == [127, 1, -1, 3, 0]


def test_a_q4_1_block_keeps_its_minimum_exactly():
    weights = np.linspace(3.0, 18.0, 32, dtype=np.float32)[None]
    planes = Q4_1().encode(weights)
    assert planes[0][:4].tobytes() == np.array([1.0, 3.0], np.float16).tobytes()
    assert np.abs(Q4_1().decode(planes, 1, 32) - weights).max() <= 0.5


@pytest.mark.parametrize("chosen", FORMATS, ids=lambda each: each.name)
def test_only_rows_of_whole_blocks_fit(chosen):
    assert chosen.fit(576) is chosen
    assert chosen.fit(48) is None


def test_halves_are_unpacked_as_they_were_packed():
    codes = np.random.default_rng(1).integers(0, 16, (3, 32)).astype(np.float32)
    assert np.array_equal(unpack_halves(pack_halves(codes)), codes)
