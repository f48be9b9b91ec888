"""How kernels pack codes, against the references, which the gguf package unpacks."""

import numpy as np
import pytest

from passes.encodings import encoding
from passes.encodings.kernels.packing import pack_iq4_xs, pack_q3_k, pack_q6_k, take_fifth_bits

BLOCKS = 7


@pytest.mark.parametrize(
    ("name", "kernel", "levels", "scale_levels"),
    [
        ("q6_k", pack_q6_k, 64, 256),
        ("q3_k", pack_q3_k, 8, 64),
        ("iq4_xs", pack_iq4_xs, 16, 64),
    ],
)
def test_super_blocks_are_packed_as_by_the_reference(name, kernel, levels, scale_levels):
    random, chosen = np.random.default_rng(0), encoding(name)
    codes = random.integers(0, levels, (BLOCKS, 256)).astype(np.uint8)
    scales = random.integers(0, scale_levels, (BLOCKS, chosen.groups)).astype(np.uint8)
    halves = random.integers(0, 65536, BLOCKS).astype(np.uint16)
    out = np.empty((BLOCKS, chosen.block_bytes), np.uint8)
    kernel(halves, scales.reshape(-1), codes.reshape(-1), out)
    assert np.array_equal(out, chosen.pack(halves[:, None].view(np.uint8), scales, codes))


def test_fifth_bits_are_taken_from_codes():
    codes = np.random.default_rng(1).integers(0, 32, (BLOCKS, 32)).astype(np.uint8)
    out, left = np.zeros((BLOCKS, 11), np.uint16), codes.copy()
    take_fifth_bits(left.reshape(-1).view(np.uint64), out, np.uint64(1))
    assert np.array_equal(left, codes & 15)
    expected = np.packbits(codes >> 4, axis=1, bitorder="little").view(np.uint16)
    assert np.array_equal(out[:, 1:3], expected)
    assert not out[:, 3:].any()
