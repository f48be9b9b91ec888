"""Super-blocks: how the codes of their blocks' scales are packed."""

import numpy as np
from gguf.quants import Q4_K

from passes.encodings.super_blocks import pack_six_bits, unpack_six_bits


def test_six_bits_are_packed_as_the_gguf_package_unpacks_them():
    scales, minima = np.random.default_rng(0).integers(0, 64, (2, 100, 8)).astype(np.uint8)
    packed = pack_six_bits(scales, minima)
    for found in (Q4_K.get_scale_min(packed), unpack_six_bits(packed)):
        assert np.array_equal(found[0], scales)
        assert np.array_equal(found[1], minima)
