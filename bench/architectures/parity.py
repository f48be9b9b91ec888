"""How far a runtime's logits are from the original's: whole, cached, and padded on the left."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.architectures.originals import Original

Feed = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Appends ids to what a runtime has seen; takes their mask and positions too."""


def largest_difference(original: Original, start: Callable[[], None], feed: Feed) -> float:
    """The largest difference of a logit, in standard deviations of the original's.

    Args:
        original: What to compare with.
        start: Makes the runtime forget.
        feed: Runs it.
    """
    ids, padding = original.ids, original.padding
    tokens = ids.shape[1]
    mask, positions = np.ones_like(ids), np.tile(np.arange(tokens), (len(ids), 1))
    whole = _steps(start, feed, ids, mask, positions, (0, tokens))
    cached = _steps(start, feed, ids, mask, positions, (0, 4, 9, 10, 11))
    mask, positions = mask.copy(), positions.copy()
    mask[0, :padding] = 0
    positions[0] = np.maximum(np.arange(tokens) - padding, 0)
    padded = _steps(start, feed, original.padded_ids, mask, positions, (0, 7, 8, 9, 10, 11))
    differences = (
        whole - original.logits,
        cached - original.logits,
        padded[0, padding:] - original.short_logits,
        padded[1] - original.logits[1],
    )
    return max(float(np.abs(each).max()) for each in differences) / original.sigma


def mean_kl(original: Original, start: Callable[[], None], feed: Feed) -> float:
    """KL(original || runtime) in nats, over all positions."""
    ids = original.ids
    mask, positions = np.ones_like(ids), np.tile(np.arange(ids.shape[1]), (len(ids), 1))
    start()
    found, meant = _log_softmax(feed(ids, mask, positions)), _log_softmax(original.logits)
    return float((np.exp(meant) * (meant - found)).sum(-1).mean())


def _steps(
    start: Callable[[], None],
    feed: Feed,
    ids: NDArray[np.int64],
    mask: NDArray[np.int64],
    positions: NDArray[np.int64],
    cuts: Sequence[int],
) -> NDArray[np.float32]:
    start()
    parts = [
        feed(ids[:, first:last], mask[:, :last], positions[:, first:last])
        for first, last in itertools.pairwise(cuts)
    ]
    return np.concatenate(parts, axis=1)


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    total: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return total
