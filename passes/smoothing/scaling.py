"""Divisors of a layer's input channels: ``s_j = max|X_j|^a / max|W_j|^(1-a)``.

SmoothQuant (arXiv 2211.10438): ``Y = (X / s) (s · W)`` for any s, and with this one the largest of
a channel's inputs and weights are as far apart as a says, 0.5 making them equal.
"""

from __future__ import annotations

import numpy as np

from convert.weights import Floats
from passes.smoothing.groups import Fold

FLOOR_QUANTILE = 0.1
"""Magnitudes below that of this share of the channels count as that. A channel that happens to be
still in the calibration text would be magnified until any other text overflows it."""

LARGEST = 2.0**60
"""Products with it and with its reciprocal stay within float32."""


def divisors(alpha: float, inputs: Floats, weights: Floats, fold: Fold) -> Floats:
    """The divisor of each channel, or of those that share one, float32 ``[n]``.

    Args:
        alpha: How much of the inputs' range the weights take over, 0 to 1.
        inputs: Largest magnitude of each channel of the input, ``[features]``.
        weights: The same of each column of the weights, all layers of the group together.
        fold: Which channels share a divisor.
    """
    x, w = (_floored(_of_shares(each, fold)) for each in (inputs, weights))
    chosen = np.exp(alpha * np.log(x) - (1 - alpha) * np.log(w))
    bounded: Floats = np.clip(chosen, 1 / LARGEST, LARGEST).astype(np.float32)
    return bounded


def _of_shares(largest: Floats, fold: Fold) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The largest of all channels that share a divisor."""
    shared = np.zeros(fold.divisors)
    np.maximum.at(shared, fold.channels, largest)
    return shared


def _floored(
    largest: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    active = largest[largest > 0]
    if not active.size:
        return np.ones_like(largest)
    floored: np.ndarray[tuple[int], np.dtype[np.float64]] = np.maximum(
        largest, np.quantile(active, FLOOR_QUANTILE)
    )
    return floored
