"""The dynamic programme against trying every choice, and what every choice of buckets must hold."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.gaudi.buckets import choose, choose_buckets, static_buckets
from targets.gaudi.options import GaudiOptions


def expected_size(weights, sizes, chosen):
    """Mean size of the smallest chosen bucket that holds each size of ``sizes``."""
    held = [min(bucket for bucket in chosen if bucket >= size) for size in sizes]
    return np.dot(weights, held) / np.sum(weights)


WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any)


@given(WEIGHTS, st.integers(1, 8), st.randoms())
def test_no_choice_of_buckets_is_better(weights, count, random):
    sizes = np.sort(np.array(random.sample(range(1, 50), len(weights))))
    at_most = np.cumsum(weights) / np.sum(weights)
    chosen, expected = choose(at_most, sizes, count)
    assert len(chosen) <= count
    assert chosen[-1] == sizes[-1]
    assert list(chosen) == sorted(set(chosen))
    assert expected == pytest.approx(expected_size(weights, sizes, chosen), rel=1e-12)
    others = (
        (*some, sizes[-1])
        for number in range(count)
        for some in itertools.combinations(sizes[:-1], number)
    )
    best = min(expected_size(weights, sizes, other) for other in others)
    assert expected == pytest.approx(best, rel=1e-12)


def test_no_more_buckets_than_help():
    assert choose(np.array([0.0, 0.5, 0.5, 1.0]), np.array([1, 2, 3, 4]), 4)[0] == (2, 4)


def config(max_positions=4096):
    return SimpleNamespace(max_positions=max_positions)


OPTIONS = st.builds(
    GaudiOptions,
    batch=st.integers(1, 40),
    prompt_tokens=st.integers(1, 1500),
    new_tokens=st.integers(1, 700),
)


@settings(max_examples=40, deadline=None)
@given(OPTIONS, st.integers(0, 200))
def test_every_text_that_is_allowed_has_a_bucket(options, spare):
    context = options.prompt_tokens + options.new_tokens
    buckets = choose_buckets(config(context + spare), options)
    blocks = -(-context // 128)
    assert context <= buckets.longest <= context + spare
    assert options.prompt_tokens <= buckets.prefill[-1] <= buckets.longest
    assert all(size % 128 == 0 or size == buckets.longest for size in buckets.prefill)
    assert len(buckets.prefill) <= 8
    assert [each.batch for each in buckets.decode][-1] == options.batch
    for each in buckets.decode:
        assert each.blocks[-1] == each.batch * blocks
        # vLLM on Gaudi leaves out buckets with fewer blocks than sequences.
        assert each.blocks[0] >= each.batch
        assert list(each.blocks) == sorted(set(each.blocks))
        assert 0 <= each.waste < 1
    assert sum(len(each.blocks) for each in buckets.decode) <= 32


@settings(max_examples=40, deadline=None)
@given(OPTIONS)
def test_static_programs_are_few_and_end_with_the_longest_prompt(options):
    sizes = static_buckets(options, config())
    assert 1 <= len(sizes) <= 4
    assert sizes[-1] == options.prompt_tokens
    assert list(sizes) == sorted(set(sizes))


@pytest.mark.parametrize(
    ("positions", "sizes"),
    [(512, (64, 128, 192, 256)), (4096, (256, 512, 768, 1024)), (16, (8,)), (2, (1,))],
)
def test_static_programs_without_options(positions, sizes):
    assert static_buckets(GaudiOptions(), config(positions)) == sizes


def test_the_expected_waste_is_that_of_the_texts(tmp_path):
    lengths = tmp_path / "lengths.csv"
    lengths.write_text("prompt,new\n" + "100,2\n" * 3 + "600,29\n")
    options = GaudiOptions(lengths=lengths, prompt_tokens=1000, new_tokens=100)
    buckets = choose_buckets(config(), options)
    assert buckets.prefill == (128, 640, 1024)
    assert buckets.prefill_waste == pytest.approx(1 - (3 * 100 + 600) / (3 * 128 + 640))
    # Steps: three with 101 tokens in the cache, 28 with 601 to 628: five blocks.
    (alone,) = buckets.decode
    assert alone.blocks == (1, 5, 9)
    assert alone.waste == pytest.approx(0, abs=1e-12)
    text = "\n".join(buckets.lines())
    assert "3 prefill buckets of 128, 640, 1024 tokens: 12.1 % padding" in text


def test_a_batch_pads_to_the_sum_of_its_sequences(tmp_path):
    lengths = tmp_path / "lengths.csv"
    # Half of the steps read one block, half two.
    lengths.write_text("prompt,new\n100,2\n200,2\n")
    options = GaudiOptions(batch=2, lengths=lengths, prompt_tokens=250, new_tokens=6)
    one, two = choose_buckets(config(), options).decode
    assert (one.blocks, one.waste) == ((1, 2), 0)
    assert (two.blocks, two.waste) == ((2, 3, 4), 0)


def test_answers_of_one_token_need_no_step():
    (alone,) = choose_buckets(config(), GaudiOptions(prompt_tokens=300, new_tokens=1)).decode
    assert alone.blocks == (3,)
