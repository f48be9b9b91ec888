"""YaRN as llama.cpp computes it, and whether it is what a graph does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FAST, _SLOW = 32.0, 1.0
"""Turns in the original context that bound the pairs between which scaling sets in; llama.cpp's
defaults, which most of its architectures have no key for."""


@dataclass(frozen=True)
class Stretch:
    """A context that was made longer.

    Args:
        factor: By how much.
        original: Its length before, in tokens.
    """

    factor: float
    original: int

    @property
    def inherent(self) -> float:
        """What ggml multiplies cosines and sines by of its own accord."""
        return 1 + 0.1 * math.log(self.factor)


def stretched(base: float, size: int, stretch: Stretch) -> NDArray[np.float64]:
    """Frequencies ``[size / 2]`` by ``rope_yarn`` of ggml.

    Args:
        base: Of the frequencies.
        size: Elements of a head that are rotated.
        stretch: Of the context.
    """

    def place(turns: float) -> float:
        return size * math.log(stretch.original / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(0, math.floor(place(_FAST))), min(size - 1, math.ceil(place(_SLOW)))
    pairs = np.arange(size // 2, dtype=np.float64)
    kept = 1 - np.clip((pairs - low) / max(0.001, high - low), 0, 1)
    plain = base ** (-2 * pairs / size)
    return np.asarray(plain * (kept + (1 - kept) / stretch.factor))


def stated_stretches(raw: Any) -> tuple[Stretch, ...]:
    """Every stretch that a config states, wherever it is."""
    if not isinstance(raw, Mapping):
        return ()
    factor, original = raw.get("factor"), raw.get("original_max_position_embeddings")
    own = []
    if isinstance(factor, int | float) and isinstance(original, int) and factor > 0 < original:
        own.append(Stretch(float(factor), original))
    return (*own, *(each for value in raw.values() for each in stated_stretches(value)))
