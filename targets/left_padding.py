"""Sequences of unequal length as one rectangle: padding on the left, so that all end together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

LARGEST_LOGITS = 1 << 26
"""Numbers in the logits of one feed, 256 MiB of float32; longer prompts go in by pieces."""


class Feed(TypedDict):
    """Inputs of the graph: ids and positions ``[B, S]``, the mask ``[B, past + S]``."""

    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    position_ids: NDArray[np.int64]


class LeftPaddedBatch:
    """What to feed a graph whose cache grows, for a batch of sequences.

    Padding is token 0 where the mask is 0. The first token of each sequence has position 0, and
    padding has some position too, which nothing depends on.

    Args:
        prompts: At least one, each with at least one token.
        vocab: Numbers in the logits of one token.
    """

    def __init__(self, prompts: Sequence[Sequence[int]], vocab: int) -> None:
        self._lengths = np.array([len(prompt) for prompt in prompts])
        longest = int(self._lengths.max())
        self._ids = np.zeros((len(prompts), longest), np.int64)
        for row, prompt in zip(self._ids, prompts, strict=True):
            row[longest - len(prompt) :] = prompt
        self._vocab = vocab
        self._slots = 0

    def prompts(self) -> Iterator[Feed]:
        """All prompts, the last token of each in the last feed."""
        batch, longest = self._ids.shape
        at_once = max(1, LARGEST_LOGITS // (batch * self._vocab))
        for start in range(0, longest, at_once):
            yield self._feed(self._ids[:, start : start + at_once])

    def tokens(self, tokens: Sequence[int]) -> Feed:
        """One token more for each sequence."""
        return self._feed(np.array(tokens, np.int64)[:, None])

    def _feed(self, ids: NDArray[np.int64]) -> Feed:
        start, self._slots = self._slots, self._slots + ids.shape[1]
        padding = (self._ids.shape[1] - self._lengths)[:, None]
        slots = np.arange(self._slots)
        return {
            "input_ids": ids,
            "attention_mask": (slots >= padding).astype(np.int64),
            "position_ids": np.maximum(slots[start:] - padding, 0),
        }
