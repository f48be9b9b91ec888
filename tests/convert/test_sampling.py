"""Tokens drawn by chance: from the right distribution, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.sampling import Sampling, likeliest

LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))


def shares(sampling, logits=LOGITS, draws=4000):
    choose = sampling.chooser(0)
    return np.bincount([choose(logits) for _ in range(draws)], minlength=len(logits)) / draws


def test_the_likeliest_token_is_the_first_of_several():
    assert likeliest(np.array([1, 3, 3, 2], np.float32)) == 1


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.1, 0.5, 0.15, 0.25]),
        (Sampling(top_k=2), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(top_k=99), [0.1, 0.5, 0.15, 0.25]),
        (Sampling(top_p=0.74), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(top_p=0.76), [0, 5 / 9, 1.5 / 9, 2.5 / 9]),
        (Sampling(top_p=0.01), [0, 1, 0, 0]),
        (Sampling(top_k=3, top_p=0.8), [0, 2 / 3, 0, 1 / 3]),
        (Sampling(temperature=0.5), np.array([1, 25, 2.25, 6.25]) / 34.5),
        (Sampling(temperature=1e-4), [0, 1, 0, 0]),
    ],
)
def test_tokens_are_drawn_from_what_the_cuts_leave(sampling, expected):
    found = shares(sampling)
    assert np.abs(found - expected).max() < 0.03
    assert not found[np.array(expected) == 0].any()


def test_cuts_come_after_the_temperature():
    assert shares(Sampling(temperature=100, top_p=0.7), draws=200)[[1, 2, 3]].all()


def test_the_same_seed_draws_the_same_tokens_for_a_text_whatever_others_draw():
    first, other = Sampling(seed=3).chooser(1), Sampling(seed=3).chooser(0)
    tokens = [first(LOGITS) for _ in range(50)]
    again = Sampling(seed=3).chooser(1)
    drawn = [(other(LOGITS), again(LOGITS)) for _ in range(50)]
    assert [token for _, token in drawn] == tokens != [token for token, _ in drawn]
    another = Sampling(seed=4).chooser(1)
    assert [another(LOGITS) for _ in range(50)] != tokens


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32) | st.just(-np.inf), min_size=1, max_size=9),
    top_k=st.none() | st.integers(1, 12),
    top_p=st.none() | st.floats(1e-6, 1),
    temperature=st.floats(1e-3, 1e3),
)
def test_any_logits_give_a_token_of_theirs(logits, top_k, top_p, temperature):
    values = np.array([*logits, 0.0], np.float32)
    token = Sampling(temperature, top_k, top_p).chooser(0)(values)
    assert np.isfinite(values[token])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("top_p", float("nan")),
        ("seed", -1),
    ],
)
def test_values_outside_their_range_are_refused(option, value):
    with pytest.raises(UsageError, match=f"--{option.replace('_', '-')} is outside its range"):
        Sampling(**{option: value})
