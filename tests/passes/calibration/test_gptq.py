"""GPTQ: its factor, and that what it rounds computes better than what is rounded by itself."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.calibration import gptq
from passes.calibration.gptq import (
    DAMPING,
    Factor,
    cholesky,
    factor_of,
    order_of,
    round_rows,
)
from passes.encodings import encoding
from passes.encodings.grids import require_grid
from passes.encodings.super_grids import require_any_grid


def correlated(tokens, columns, seed=0):
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((columns, columns)) / 4
    return (random.standard_normal((tokens, columns)) @ (np.eye(columns) + mixing)).astype(
        np.float32
    )


@pytest.mark.parametrize("columns", [1, 30, 300, 512])
def test_the_factor_is_that_of_the_damped_second_moments(columns):
    inputs = correlated(2 * columns + 3, columns)
    factor = factor_of(inputs.T @ inputs, columns if columns % 30 else 30)
    lower = np.tril(factor.feedback.astype(np.float64)) * np.sqrt(factor.costs)[:, None]
    moments = inputs.T.astype(np.float64) @ inputs
    moments += DAMPING * np.diag(moments).mean() * np.eye(columns)
    moments = moments[np.ix_(factor.order, factor.order)]
    assert np.abs(lower.T @ lower - moments).max() < 1e-4 * moments.max()


def test_a_factor_of_inputs_that_are_all_zero_corrects_nothing():
    factor = factor_of(np.zeros((20, 20), np.float32), 20)
    assert np.array_equal(np.tril(factor.feedback), np.eye(20))
    assert np.isfinite(factor.costs).all() and (factor.costs > 0).all()


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(0, 5))
def test_cholesky_of_any_size(size, seed):
    root = np.random.default_rng(seed).standard_normal((2 * size, size))
    moments = root.T @ root + np.eye(size)
    found = cholesky(moments.astype(np.float32))
    assert np.allclose(found, np.linalg.cholesky(moments), atol=1e-4)


@pytest.mark.parametrize("name", ["int4_g16", "int4_sym_g16", "nf4_g16", "q4_0", "q4_1"])
def test_outputs_are_nearer_than_with_weighted_scales_alone(name):
    inputs, rows = correlated(400, 96), 24
    weights = np.random.default_rng(1).standard_normal((rows, 96)).astype(np.float32)
    stored = encoding(name)
    grid = require_grid(stored)
    planes = round_rows(weights, factor_of(inputs.T @ inputs, grid.group), grid)
    weighted = stored.weighted((inputs**2).mean(0))
    outputs = [
        inputs @ (weights - stored.decode(each, rows, 96)).T
        for each in (planes, weighted.encode(weights))
    ]
    ours, plain = (float((output**2).sum()) for output in outputs)
    assert ours < 0.6 * plain


K_TYPES = {"q2_k": 0.6, "q3_k": 0.6, "q4_k": 0.6, "q5_k": 0.7, "q6_k": 0.7, "iq4_xs": 0.6}
"""Shares of the errors of weighted scales that are left, at most."""


@pytest.mark.parametrize("name", K_TYPES)
def test_super_blocks_gain_as_blocks_do(name):
    """Codes and scales of super-blocks are kept as they are stored."""
    inputs, rows = correlated(1200, 512), 8
    weights = np.random.default_rng(1).standard_normal((rows, 512)).astype(np.float32)
    stored = encoding(name)
    grid = require_any_grid(stored)
    planes = round_rows(weights, factor_of(inputs.T @ inputs, grid.group, grid.span), grid)
    weighted = stored.weighted((inputs**2).mean(0))
    kind = gguf.GGMLQuantizationType[name.upper()]
    ours, plain = (
        float(((inputs @ (weights - dequantize(each[0].reshape(rows, -1), kind)).T) ** 2).sum())
        for each in (planes, weighted.encode(weights))
    )
    assert ours < K_TYPES[name] * plain


@pytest.mark.parametrize("rows", [1, 9])
def test_without_correlations_codes_are_those_of_the_chosen_scales(rows):
    stored = encoding("nf4_g16")
    weights = np.random.default_rng(2).standard_normal((rows, 32)).astype(np.float32)
    one = np.eye(32, dtype=np.float32)
    alone = Factor(np.arange(32), one, np.ones(32, np.float32), one, np.float32(0))
    found = stored.decode(round_rows(weights, alone, require_grid(stored)), rows, 32)
    plain = stored.weighted(np.ones(32)).encode(weights)
    error = ((found - weights) ** 2).sum()
    assert error <= ((stored.decode(plain, rows, 32) - weights) ** 2).sum()


def test_rows_do_not_depend_on_each_other():
    inputs = correlated(100, 64)
    factor = factor_of(inputs.T @ inputs, 32)
    weights = np.random.default_rng(3).standard_normal((16, 64)).astype(np.float32)
    grid = require_grid(encoding("q4_0"))
    [whole] = round_rows(weights, factor, grid)
    [first] = round_rows(weights[:8], factor, grid)
    assert np.array_equal(whole[: first.size], first)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 9))
def test_groups_stay_together_and_large_inputs_come_first(groups, group, seed):
    moments = np.random.default_rng(seed).integers(0, 4, groups * group).astype(np.float64)
    order = order_of(moments, group).reshape(groups, group)
    assert sorted(order.reshape(-1)) == list(range(groups * group))
    assert (order // group == order[:, :1] // group).all()
    assert (np.diff(moments[order], axis=1) <= 0).all()
    assert (np.diff(moments[order].sum(1)) <= 0).all()


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 9))
def test_groups_of_a_span_stay_together(spans, groups, group, seed):
    size = spans * groups * group
    moments = np.random.default_rng(seed).integers(0, 4, size).astype(np.float64)
    order = order_of(moments, group, groups * group).reshape(spans, groups, group)
    assert sorted(order.reshape(-1)) == list(range(size))
    assert (order // group == order[:, :, :1] // group).all()
    assert (order // (groups * group) == order[:, :1, :1] // (groups * group)).all()
    sums = moments[order].sum(2)
    assert (np.diff(sums, axis=1) <= 0).all()
    assert (np.diff(sums.sum(1)) <= 0).all()


@pytest.mark.parametrize("name", ["int4_g16", "int4_sym_g16", "nf4_g16", "q4_0", "q4_1"])
def test_further_passes_bring_outputs_nearer(name, monkeypatch):
    inputs = correlated(400, 96)
    weights = np.random.default_rng(1).standard_normal((24, 96)).astype(np.float32)
    stored = encoding(name)
    grid, errors = require_grid(stored), []
    for passes in (0, 1, 3):
        monkeypatch.setattr(gptq, "PASSES", passes)
        planes = round_rows(weights, factor_of(inputs.T @ inputs, grid.group), grid)
        outputs = inputs @ (weights - stored.decode(planes, 24, 96)).T
        errors.append(float((outputs**2).sum()))
    assert errors[2] < errors[1] < 0.99 * errors[0]
