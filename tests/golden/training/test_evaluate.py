"""Figures of models whose distributions are known."""

from types import SimpleNamespace

import pytest
import torch

from golden.training.evaluate import next_token_logits, quality

VOCABULARY = 8


class Constant:
    """Gives the same logits at each position, whatever it reads."""

    def __init__(self, logits):
        self.logits = torch.tensor(logits)

    def __call__(self, input_ids):
        return SimpleNamespace(logits=self.logits.expand(*input_ids.shape, VOCABULARY))


def digits(text):
    return {"input_ids": [int(character) for character in text]}


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary():
    figures = quality(Constant([0.0] * VOCABULARY), digits, ["01234", "56"])
    assert figures.perplexity == pytest.approx(VOCABULARY, rel=1e-6)
    assert figures.top1_mass == pytest.approx(1 / VOCABULARY, rel=1e-6)


def test_a_certain_model_is_right_as_often_as_its_guess_comes():
    figures = quality(Constant([0.0] * 3 + [9.0] + [0.0] * 4), digits, ["0313", "33"])
    assert figures.accuracy == pytest.approx(3 / 4)
    assert figures.top1_mass > 0.99


def test_every_token_but_the_last_predicts_its_follower():
    [(logits, following)] = next_token_logits(Constant([0.0] * VOCABULARY), digits, ["0123"])
    assert logits.shape == (3, VOCABULARY)
    assert following.tolist() == [1, 2, 3]
