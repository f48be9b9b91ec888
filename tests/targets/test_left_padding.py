"""Unequal sequences in one rectangle, whole or by pieces."""

from __future__ import annotations

import numpy as np

from targets import left_padding
from targets.left_padding import LeftPaddedBatch


def test_sequences_end_together_and_count_from_their_own_start():
    (feed,) = LeftPaddedBatch([[5, 6, 7], [8]], vocab=10).prompts()
    assert feed["input_ids"].tolist() == [[5, 6, 7], [0, 0, 8]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert feed["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]


def test_tokens_go_on_where_the_prompts_ended():
    batch = LeftPaddedBatch([[5, 6, 7], [8]], vocab=10)
    list(batch.prompts())
    batch.tokens([1, 2])
    feed = batch.tokens([3, 4])
    assert feed["input_ids"].tolist() == [[3], [4]]
    assert feed["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
    assert feed["position_ids"].tolist() == [[4], [2]]


def test_long_prompts_go_in_by_pieces(monkeypatch):
    prompts = [[5, 6, 7, 8, 9], [1, 2]]
    (whole,) = LeftPaddedBatch(prompts, vocab=10).prompts()
    monkeypatch.setattr(left_padding, "LARGEST_LOGITS", 2 * 2 * 10)
    pieces = list(LeftPaddedBatch(prompts, vocab=10).prompts())
    assert [piece["input_ids"].shape for piece in pieces] == [(2, 2), (2, 2), (2, 1)]
    assert [piece["attention_mask"].shape[1] for piece in pieces] == [2, 4, 5]
    for name in ("input_ids", "position_ids"):
        assert np.array_equal(np.hstack([piece[name] for piece in pieces]), whole[name])
    assert np.array_equal(pieces[-1]["attention_mask"], whole["attention_mask"])


def test_a_piece_has_a_token_however_large_the_vocabulary(monkeypatch):
    monkeypatch.setattr(left_padding, "LARGEST_LOGITS", 5)
    assert len(list(LeftPaddedBatch([[1, 2]], vocab=10).prompts())) == 2
