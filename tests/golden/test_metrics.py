"""The figures against hand computations and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from golden import metrics
from golden.metrics import compare_logits, summarize, tail


def test_kl_top1_and_perplexity_by_hand():
    original = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]], np.float32))
    artifact = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]], np.float32))
    figures = compare_logits(original, artifact, [0, 1])
    by_hand = 0.5 * math.log(2) + 0.25 * math.log(0.5)
    np.testing.assert_allclose(figures.kld, [by_hand, 0.0], atol=1e-7)
    assert figures.agrees.tolist() == [False, True]
    # The next token of position 0 is 1: 0.25 by the original, 0.5 by the artifact.
    np.testing.assert_allclose(figures.nll_original, [math.log(4)], rtol=1e-6)
    np.testing.assert_allclose(figures.nll_artifact, [math.log(2)], rtol=1e-6)
    summary = summarize([figures])
    assert summary.positions == 2
    assert summary.top1 == 0.5
    assert summary.mean_kld == pytest.approx(by_hand / 2, rel=1e-6)
    assert summary.max_kld == pytest.approx(by_hand, rel=1e-6)
    assert summary.perplexity_ratio == pytest.approx(0.5, rel=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    length=st.integers(1, 9),
    vocab=st.integers(2, 301),
    scale=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**31),
)
def test_kl_equals_torch_in_float64(length, vocab, scale, seed):
    generator = np.random.default_rng(seed)
    original, artifact = (scale * generator.standard_normal((2, length, vocab))).astype(np.float32)
    ids = generator.integers(0, vocab, length).tolist()
    figures = compare_logits(original, artifact, ids)
    log_p = torch.log_softmax(torch.tensor(original, dtype=torch.float64), -1)
    log_q = torch.log_softmax(torch.tensor(artifact, dtype=torch.float64), -1)
    expected = torch.nn.functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
    np.testing.assert_allclose(figures.kld, expected.numpy(), rtol=1e-9, atol=1e-12)
    nll = torch.nn.functional.nll_loss(
        log_q[:-1], torch.tensor(ids[1:], dtype=torch.long), reduction="none"
    )
    np.testing.assert_allclose(figures.nll_artifact, nll.numpy(), rtol=1e-9, atol=1e-12)


def test_chunks_do_not_change_the_figures(monkeypatch):
    generator = np.random.default_rng(3)
    original, artifact = generator.standard_normal((2, 23, 17)).astype(np.float32)
    ids = generator.integers(0, 17, 23).tolist()
    whole = compare_logits(original, artifact, ids)
    monkeypatch.setattr(metrics, "CHUNK_ELEMENTS", 17 * 5)
    chunked = compare_logits(original, artifact, ids)
    np.testing.assert_array_equal(whole.kld, chunked.kld)
    np.testing.assert_array_equal(whole.nll_artifact, chunked.nll_artifact)


def test_equal_logits_differ_by_nothing_however_large():
    logits = np.array([[1e4, -1e4, 3e38], [-3e38, 0, 5]], np.float32)
    summary = summarize([compare_logits(logits, logits.copy(), [0, 1])])
    assert (summary.mean_kld, summary.top1, summary.perplexity_ratio) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_positions_are_counted_and_left_out(bad):
    original = np.zeros((3, 4), np.float32)
    artifact = original.copy()
    artifact[1, 2] = bad
    figures = compare_logits(original, artifact, [0, 1, 2])
    assert figures.finite.tolist() == [True, False, True]
    assert not figures.agrees[1]
    summary = summarize([figures])
    assert summary.non_finite == 1
    assert summary.mean_kld == 0.0
    assert summary.perplexity_ratio == pytest.approx(1.0)


def test_nothing_finite_gives_nan_not_zero():
    original = np.zeros((2, 4), np.float32)
    summary = summarize([compare_logits(original, np.full_like(original, np.nan), [0, 1])])
    assert summary.non_finite == 2
    assert all(map(math.isnan, (summary.mean_kld, summary.top1, summary.perplexity_ratio)))


def test_the_tail_keeps_the_last_positions():
    generator = np.random.default_rng(4)
    original, artifact = generator.standard_normal((2, 10, 5)).astype(np.float32)
    figures = compare_logits(original, artifact, list(range(5)) * 2)
    last = tail(figures, 3)
    np.testing.assert_array_equal(last.kld, figures.kld[7:])
    np.testing.assert_array_equal(last.nll_artifact, figures.nll_artifact[7:])
    assert len(last.nll_artifact) == 2
    np.testing.assert_array_equal(tail(figures, 99).kld, figures.kld)


def test_shapes_that_disagree_are_an_error():
    with pytest.raises(ValueError, match="logits"):
        compare_logits(np.zeros((2, 4), np.float32), np.zeros((2, 5), np.float32), [0, 1])
