"""Reads GPTQ tensors, version 1, by what the format says of them; shares nothing with the encoder.

The format: AutoGPTQ's and GPTQModel's ``QuantLinear`` with 4 bits (nn_modules/qlinear/torch.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int32]
Floats = NDArray[np.float32]

_BITS = 4
_IN_WORD = 32 // _BITS


def codes(qweight: Integers) -> Integers:
    """The codes 0 to 15, ``[in, out]``, of words ``[in / 8, out]``."""
    words, out = qweight.shape
    by_place = [_field(qweight, place) for place in range(_IN_WORD)]
    unpacked: Integers = np.stack(by_place, 1).reshape(words * _IN_WORD, out)
    return unpacked


def zero_points(qzeros: Integers) -> Integers:
    """The zero points ``[groups, out]`` of words ``[groups, out / 8]``."""
    groups, words = qzeros.shape
    by_place = [_field(qzeros, place) for place in range(_IN_WORD)]
    unpacked: Integers = np.stack(by_place, 2).reshape(groups, words * _IN_WORD)
    return unpacked + 1


def weights(
    qweight: Integers, qzeros: Integers, scales: NDArray[np.float16], group_of: Integers
) -> Floats:
    """The weights ``[out, in]`` of a layer.

    Args:
        qweight: ``[in / 8, out]``.
        qzeros: ``[groups, out / 8]``.
        scales: ``[groups, out]``.
        group_of: The group of each column, ``[in]``.
    """
    centred = codes(qweight) - zero_points(qzeros)[group_of]
    scaled = centred.astype(np.float32) * scales.astype(np.float32)[group_of]
    return np.ascontiguousarray(scaled.T)


def _field(words: Integers, place: int) -> Integers:
    """Four bits of each word; the first place is the lowest."""
    field: Integers = (words.view(np.uint32) >> np.uint32(_BITS * place) & np.uint32(15)).astype(
        np.int32
    )
    return field
