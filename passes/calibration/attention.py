"""Grouped-query attention in numpy, one head at a time, so that only its own scores are held."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

QUERIES_AT_A_TIME = 512
"""Rows of scores that are held at once: a long sequence costs no square of memory."""


def attention(
    queries: Floats,
    keys: Floats,
    values: Floats,
    mask: NDArray[Any] | None = None,
    *,
    scale: float,
    softcap: float = 0.0,
    qk_matmul_output_mode: int | None = None,
) -> Floats | tuple[Floats, None, None, Floats]:
    """``softmax(scale · Q Kᵀ + mask) V``; several query heads may share a key head.

    Args:
        queries: ``[B, H, S, D]``.
        keys: ``[B, H / n, T, D]``.
        values: ``[B, H / n, T, E]``.
        mask: Which keys each query attends to if bool, else a number to add to each score;
            spreads to ``[B, H, S, T]``.
        softcap: What scores are bent to less than, if it is not 0.
        qk_matmul_output_mode: If given, scores are wanted as well.

    Returns:
        ``[B, H, S, E]``; with scores, also their ``log Σ exp``, ``[B, H, S, 1]``, which is all that
        `convert.attention_sinks` reads of them, and takes a square less memory.
    """
    batch, heads, length, _ = queries.shape
    shared = heads // keys.shape[1]
    mixed = np.empty((batch, heads, length, values.shape[-1]), np.float32)
    totals = np.empty((batch, heads, length, 1), np.float32)
    if mask is not None:
        mask = np.broadcast_to(mask, (batch, heads, length, keys.shape[2]))
    for b, h in np.ndindex(batch, heads):
        key, value = keys[b, h // shared], values[b, h // shared]
        for first in range(0, length, QUERIES_AT_A_TIME):
            rows = slice(first, first + QUERIES_AT_A_TIME)
            scores = (queries[b, h, rows] * np.float32(scale)) @ key.T
            if softcap:
                scores = np.tanh(scores / np.float32(softcap)) * np.float32(softcap)
            totals[b, h, rows] = _softmax(scores, None if mask is None else mask[b, h, rows])
            np.matmul(scores, value, out=mixed[b, h, rows])
    return mixed if qk_matmul_output_mode is None else (mixed, None, None, totals)


def _softmax(scores: Floats, mask: NDArray[Any] | None) -> Floats:
    """Turn rows of scores into probabilities, in place; return ``log Σ exp`` of each row."""
    if mask is not None and mask.dtype == np.bool_:
        scores[~mask] = -np.inf
    elif mask is not None:
        scores += mask
    most = scores.max(axis=-1, keepdims=True)
    scores -= most
    np.exp(scores, out=scores)
    total = scores.sum(axis=-1, keepdims=True)
    scores /= total
    return np.asarray(np.log(total) + most)
