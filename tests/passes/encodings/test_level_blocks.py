"""Q5_0, IQ4_NL, Q6_K, Q3_K and IQ4_XS: their bytes, and how near they are to the weights."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from convert.errors import UnsupportedEncodingError
from passes.encodings import encoding
from passes.encodings.iq4_nl import IQ4_NL
from passes.encodings.iq4_xs import IQ4_XS
from passes.encodings.level_super_blocks import LevelSuperBlocks
from passes.encodings.q3_k import Q3_K
from passes.encodings.q5_0 import Q5_0
from passes.encodings.q6_k import Q6_K

FORMATS = (Q5_0(), IQ4_NL(), Q6_K(), Q3_K(), IQ4_XS())
NAMES = tuple(each.name for each in FORMATS)
SUPER = tuple(each.name for each in FORMATS if isinstance(each, LevelSuperBlocks))
every = pytest.mark.parametrize("name", NAMES)
ERRORS = {"q5_0": 0.056, "iq4_nl": 0.088, "q6_k": 0.022, "q3_k": 0.172, "iq4_xs": 0.089}


@pytest.fixture(scope="module")
def rows():
    return (0.02 * np.random.default_rng(0).standard_t(5, (24, 768))).astype(np.float32)


@every
def test_every_block_of_random_bytes_decodes_as_in_the_gguf_package(name):
    chosen, random = encoding(name), np.random.default_rng(1)
    blocks = random.integers(0, 256, (50, chosen.block_bytes)).astype(np.uint8)
    # Finite ones: the head is the first or the last half of a block.
    blocks[:, 1] &= 0xBB
    blocks[:, -1] &= 0xBB
    expected = dequantize(blocks, gguf.GGMLQuantizationType[name.upper()])
    assert np.isfinite(expected).all()
    assert np.array_equal(chosen.decode((blocks.reshape(-1),), 50, chosen.block), expected)


@every
def test_blocks_have_the_size_of_ggml(name):
    sizes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name.upper()]]
    assert (encoding(name).block, encoding(name).block_bytes) == sizes


@every
def test_what_is_stored_is_near_to_the_weights(name, rows):
    chosen = encoding(name)
    decoded = dequantize(
        chosen.encode(rows)[0].reshape(len(rows), -1), gguf.GGMLQuantizationType[name.upper()]
    )
    assert np.array_equal(decoded, chosen.decode(chosen.encode(rows), *rows.shape))
    error = np.sqrt(np.square(decoded - rows).mean() / np.square(rows).mean())
    assert 0.5 * ERRORS[name] < error < ERRORS[name]


@pytest.mark.parametrize("name", SUPER)
def test_weights_as_small_as_the_smallest_scales_are_kept(name, rows):
    """Where the head of a super-block is a coarse denormal of float16."""
    chosen, small = encoding(name), rows * np.float32(0.002)
    decoded = chosen.decode(chosen.encode(small), *small.shape)
    error = np.sqrt(np.square(decoded - small).mean() / np.square(small).mean())
    assert error < 1.1 * ERRORS[name]


@pytest.mark.parametrize(
    ("name", "fine", "too_large"),
    [
        ("q5_0", 1.04e6, -1.05e6),
        ("iq4_nl", 8.3e6, -8.4e6),
        ("q6_k", 2.6e8, -2.7e8),
        ("q3_k", 8.3e6, -8.4e6),
        ("iq4_xs", 2.6e8, -2.7e8),
    ],
)
def test_a_weight_too_large_for_its_scale_is_refused(name, fine, too_large):
    weights = np.zeros((2, 256), np.float32)
    for chosen in (encoding(name), encoding(name).weighted(np.ones(256))):
        weights[1, 5] = fine
        decoded = chosen.decode(chosen.encode(weights), 2, 256)
        assert decoded[1, 5] == pytest.approx(fine, rel=0.01)
        weights[1, 5] = too_large
        for encode in (chosen.encode, chosen.reference):
            with pytest.raises(UnsupportedEncodingError, match="too large"):
                encode(weights)


def test_the_fifth_bits_of_a_q5_0_block_lie_between_its_scale_and_the_others():
    weights = np.zeros((1, 32), np.float32)
    weights[0, :3], weights[0, 16:18] = (-16.0, 15.0, 1.0), (3.0, -1.0)
    block = encoding("q5_0").encode(weights)[0].tobytes()
    assert block[:2] == bytes.fromhex("003c")
    assert int.from_bytes(block[2:6], "little") == 0xFFFDFFFE
    assert block[6:9] == bytes([0x30, 0xFF, 0x01])
    assert set(block[9:]) == {0x00}


@pytest.mark.parametrize("sign", [1, -1])
def test_an_iq4_nl_block_of_its_own_values_is_kept_exactly(sign):
    values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    weights = np.array([values + values[::-1]], np.float32) * np.float32(sign / 8)
    stored = encoding("iq4_nl").encode(weights)
    assert np.array_equal(encoding("iq4_nl").decode(stored, 1, 32), weights)
    assert stored[0][2:].tolist() == [i | (15 - i) << 4 for i in range(16)]


@every
def test_blocks_in_which_nothing_counts_are_those_without_importances(name, rows):
    chosen = encoding(name)
    moments = np.where(np.arange(768) < 512, 0.0, 1.0)
    found = chosen.weighted(moments).encode(rows)[0].reshape(24, -1)
    expected = chosen.encode(rows)[0].reshape(24, -1)
    assert np.array_equal(found, expected)
