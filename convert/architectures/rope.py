"""The inverse frequencies of rotary position embedding, plain and rescaled for long contexts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import Rope

Frequencies = NDArray[np.float32]


def inverse_frequencies(rope: Rope, head_dim: int) -> Frequencies:
    """Angle per position of each rotated pair.

    ``theta ** (-2i / head_dim)``, rescaled for longer contexts as ``rope.kind`` says: linear
    (divide all), llama3 (divide the slow ones, with a ramp between two wavelengths), yarn
    (divide the slow ones, with a ramp between two counts of rotations; arXiv 2309.00071).

    Returns:
        float32 ``[head_dim / 2]``.
    """
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    # Rounded to float32 just where transformers rounds: at position 100 000 a difference in the
    # last place of a frequency turns a pair by 0.006 radians.
    powers = np.power(np.float64(np.float32(rope.theta)), exponents.astype(np.float64))
    plain = _float32(1 / _float32(powers))
    if rope.kind == "default":
        return plain
    slowed = _float32(plain / np.float32(rope.factor))
    if rope.kind == "linear":
        return slowed
    keep = _llama3_share(rope, plain) if rope.kind == "llama3" else _yarn_share(rope, head_dim)
    return _float32(slowed * (1 - keep) + plain * keep)


def _llama3_share(rope: Rope, plain: Frequencies) -> Frequencies:
    """How much of the plain frequency stays: 1 for short wavelengths, 0 for long ones."""
    # Torch divides a number by a tensor by multiplying with the reciprocal; so does this.
    wavelengths = (1 / plain) * np.float32(2 * math.pi)
    rotations = (1 / wavelengths) * np.float32(rope.original_max_positions)
    span = rope.high_freq_factor - rope.low_freq_factor
    share = (rotations - np.float32(rope.low_freq_factor)) / np.float32(span)
    return _float32(np.clip(share, 0, 1))


def _yarn_share(rope: Rope, head_dim: int) -> Frequencies:
    """How much of the plain frequency stays: 1 for fast pairs, 0 for slow ones."""

    def pair_that_turns(rotations: float) -> float:
        """Index of the pair that makes so many rotations within the original context."""
        positions_a_radian = rope.original_max_positions / (rotations * 2 * math.pi)
        return head_dim * math.log(positions_a_radian) / (2 * math.log(rope.theta))

    low = max(math.floor(pair_that_turns(rope.beta_fast)), 0)
    high = min(math.ceil(pair_that_turns(rope.beta_slow)), head_dim - 1)
    width = high - low or 0.001
    ramp = (np.arange(head_dim // 2, dtype=np.float32) - low) / np.float32(width)
    return _float32(1 - np.clip(ramp, 0, 1))


def _float32(values: NDArray[Any]) -> Frequencies:
    return np.asarray(values, np.float32)
