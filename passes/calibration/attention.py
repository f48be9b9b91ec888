"""Grouped-query attention in numpy, one head at a time, so that only its own scores are held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

QUERIES_AT_A_TIME = 512
"""Rows of scores that are held at once: a long sequence costs no square of memory."""


def attention(
    queries: Floats, keys: Floats, values: Floats, mask: NDArray[Any] | None = None, *, scale: float
) -> Floats:
    """``softmax(scale · Q Kᵀ + mask) V``; several query heads may share a key head.

    Args:
        queries: ``[B, H, S, D]``.
        keys: ``[B, H / n, T, D]``.
        values: ``[B, H / n, T, E]``.
        mask: Which keys each query attends to if bool, else a number to add to each score;
            spreads to ``[B, H, S, T]``.

    Returns:
        ``[B, H, S, E]``.
    """
    batch, heads, length, _ = queries.shape
    shared = heads // keys.shape[1]
    mixed = np.empty((batch, heads, length, values.shape[-1]), np.float32)
    if mask is not None:
        mask = np.broadcast_to(mask, (batch, heads, length, keys.shape[2]))
    for b, h in np.ndindex(batch, heads):
        key, value = keys[b, h // shared], values[b, h // shared]
        for first in range(0, length, QUERIES_AT_A_TIME):
            rows = slice(first, first + QUERIES_AT_A_TIME)
            scores = (queries[b, h, rows] * np.float32(scale)) @ key.T
            _softmax(scores, None if mask is None else mask[b, h, rows])
            np.matmul(scores, value, out=mixed[b, h, rows])
    return mixed


def _softmax(scores: Floats, mask: NDArray[Any] | None) -> None:
    """Turn rows of scores into probabilities, in place."""
    if mask is not None and mask.dtype == np.bool_:
        scores[~mask] = -np.inf
    elif mask is not None:
        scores += mask
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
