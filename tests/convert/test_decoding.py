"""A batch goes on until each of its texts has ended."""

from __future__ import annotations

import numpy as np
import pytest

from convert.decoding import Continuation, continue_batch
from convert.errors import RunnerCrashedError
from convert.sampling import likeliest
from targets.base import Runner


class Successor(Runner):
    """Predicts the token after the last one, of ten."""

    def __init__(self):
        self.advanced = []

    def reset(self):
        """Nothing to forget."""

    def feed(self, ids):
        raise NotImplementedError

    def begin(self, prompts):
        return self._after([prompt[-1] for prompt in prompts])

    def advance(self, tokens):
        self.advanced.append(list(tokens))
        return self._after(tokens)

    def _after(self, tokens):
        return np.eye(10, dtype=np.float32)[(np.asarray(tokens) + 1) % 10]


def run(runner, prompts, new_tokens, stop=()):
    choosers = [likeliest] * len(prompts)
    return continue_batch(runner, prompts, choosers, new_tokens=new_tokens, stop=frozenset(stop))


def test_texts_end_at_stop_tokens_or_at_the_number_asked_for():
    assert run(Successor(), [[0, 1], [6], [5]], 3, stop={8, 9}) == [
        Continuation((2, 3, 4), "length"),
        Continuation((7,), "stop"),
        Continuation((6, 7), "stop"),
    ]


def test_a_text_may_end_before_it_begins():
    assert run(Successor(), [[7], [7]], 5, stop={8}) == [Continuation((), "stop")] * 2


def test_nothing_is_computed_that_no_one_asks_for():
    runner = Successor()
    run(runner, [[0]], 3)
    assert runner.advanced == [[1], [2]]
    runner = Successor()
    run(runner, [[5], [6]], 9, stop={8})
    assert runner.advanced == [[6, 7], [7, 8]]


def test_logits_that_are_no_numbers_are_named():
    runner = Successor()
    runner._after = lambda tokens: np.full((len(tokens), 10), np.nan, np.float32)
    with pytest.raises(RunnerCrashedError, match="not numbers"):
        run(runner, [[1]], 1)
