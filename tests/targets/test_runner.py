"""What every runner gets for free: prefill then one by one, and greedy generation."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import UnsupportedError
from targets.runner import Runner


class Successor(Runner):
    """Predicts the token after the last one, of five."""

    def __init__(self):
        self.fed = []
        self.closed = False

    def reset(self):
        self.fed.clear()

    def feed(self, ids):
        self.fed.append(list(ids))
        logits = np.zeros((len(ids), 5), np.float32)
        logits[np.arange(len(ids)), (np.asarray(ids) + 1) % 5] = 1
        return logits

    def close(self):
        self.closed = True


def test_logits_are_of_a_prefill_and_then_token_by_token():
    runner = Successor()
    logits = runner.logits([0, 1, 2, 3], prefill=2)
    assert runner.fed == [[0, 1], [2], [3]]
    assert logits.argmax(1).tolist() == [1, 2, 3, 4]


def test_generation_is_greedy_and_ends_before_a_stop_token():
    runner = Successor()
    assert runner.generate([0, 1], 2, frozenset()) == [2, 3]
    assert runner.generate([0, 1], 9, frozenset({0})) == [2, 3, 4]


def test_a_runner_closes_itself():
    with Successor() as runner:
        pass
    assert runner.closed
    assert runner.tokenize("a") is runner.chat([]) is runner.known_difference("a", {}) is None
    assert runner.prompt_ids("a") is runner.detokenize([1]) is None


def test_a_batch_of_one_is_fed_like_a_sequence():
    runner = Successor()
    runner.feed([4])
    assert runner.begin([[0, 1]]).argmax(1).tolist() == [2]
    assert runner.advance([2]).argmax(1).tolist() == [3]
    assert runner.fed == [[0, 1], [2]]


def test_a_runtime_without_batches_says_so():
    with pytest.raises(UnsupportedError, match="one sequence at a time"):
        Successor().begin([[0], [1]])
