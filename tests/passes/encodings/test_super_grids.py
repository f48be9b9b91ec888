"""Grids of super-blocks: what is packed decodes to what was chosen, and what refitting is worth."""

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize

from convert.errors import UnsupportedEncodingError
from passes.encodings import encoding
from passes.encodings.grids import Loss, grid_of
from passes.encodings.super_grids import any_grid_of, require_any_grid

LINES, LEVELS = ("q2_k", "q4_k", "q5_k"), ("q3_k", "q6_k", "iq4_xs")
every = pytest.mark.parametrize("name", LINES + LEVELS)


def chosen(grid, rows, spans, seed=1):
    """Scales for random weights, and the weights."""
    random = np.random.default_rng(seed)
    values = (0.02 * random.standard_normal((rows, spans * grid.span))).astype(np.float32)
    costs = random.uniform(0.5, 2, grid.span).astype(np.float32)
    parts = np.split(values, spans, 1)
    return [each for part in parts for each in grid.choose_all(part.copy(), costs)], values


def meant(grid, scales, places):
    found = np.empty(places.shape, np.float32)
    for number, each in enumerate(scales):
        group = slice(number * grid.group, (number + 1) * grid.group)
        scale, zero, minimum = each.grid()[:, :, None]
        found[:, group] = (grid.levels[places[:, group]] - zero) * scale + minimum
    return found


@every
def test_packed_levels_decode_to_the_values_of_the_grid(name):
    rows, spans = 5, 2
    grid = require_any_grid(encoding(name))
    scales, _ = chosen(grid, rows, spans)
    random = np.random.default_rng(2)
    places = random.integers(0, grid.levels.size, (rows, spans * 256)).astype(np.uint8)
    planes = grid.pack(places, scales)
    expected = meant(grid, scales, places)
    assert np.array_equal(grid.encoding.decode(planes, rows, spans * 256), expected)
    kind = gguf.GGMLQuantizationType[name.upper()]
    assert np.array_equal(dequantize(planes[0].reshape(rows, -1), kind), expected)


@every
def test_scales_are_those_that_the_weighted_encoding_stores(name):
    grid, random = require_any_grid(encoding(name)), np.random.default_rng(3)
    values = random.standard_normal((6, 256)).astype(np.float32)
    values[0] = 0
    costs = random.uniform(0.1, 1, 256).astype(np.float32)
    scales = grid.choose_all(values, costs)
    weighted = grid.encoding.weighted(costs)
    stored = weighted.decode(weighted.encode(values), 6, 256)
    every_value = np.stack(
        [meant(grid, scales, np.full((6, 256), k, np.uint8)) for k in range(grid.levels.size)]
    )
    assert (stored == every_value).any(0).all()


def loss_of(group, rows, weights, seed=4):
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((3 * group, group)) + random.standard_normal((3 * group, 1))
    others = 0.02 * random.standard_normal((group, rows))
    return Loss(weights, (inputs.T @ inputs).astype(np.float32), others.astype(np.float32))


def cost(loss, values):
    errors = (loss.weights - values).astype(np.float64)
    return np.einsum("gr,gr->r", errors, loss.moments @ errors + 2 * loss.others)


@every
def test_refitted_scales_cost_less_and_only_the_codes_change(name):
    grid = require_any_grid(encoding(name))
    scales, values = chosen(grid, 64, 1)
    weights = np.ascontiguousarray(values[:, : grid.group].T)
    loss, first = loss_of(grid.group, 64, weights), scales[0]
    levels = np.abs(meant_by_level(grid, first)[:, None] - weights[None]).argmin(0)
    places = levels.astype(np.uint8)
    refitted = grid.refit(first, loss, places)
    before, after = (cost(loss, in_group(grid, each, places)) for each in (first, refitted))
    slack = 1e-5 * np.abs(before)
    assert (after <= before + slack).all()
    assert after.sum() < 0.999 * before.sum()
    assert np.array_equal(refitted.units, first.units)
    again = grid.refit(refitted, loss, places)
    assert (cost(loss, in_group(grid, again, places)) <= after + slack).all()


def meant_by_level(grid, scales):
    scale, zero, minimum = scales.grid()
    return (grid.levels[:, None] - zero) * scale + minimum


def in_group(grid, scales, places):
    scale, zero, minimum = scales.grid()
    return (grid.levels[places] - zero) * scale + minimum


@pytest.mark.parametrize("name", LINES)
def test_of_all_pairs_of_codes_almost_the_best_is_found(name):
    grid = require_any_grid(encoding(name))
    scales, values = chosen(grid, 8, 1)
    weights = np.ascontiguousarray(values[:, : grid.group].T)
    loss, first = loss_of(grid.group, 8, weights), scales[0]
    places = np.abs(meant_by_level(grid, first)[:, None] - weights[None]).argmin(0)
    refitted = grid.refit(first, loss, places.astype(np.uint8))
    found = cost(loss, in_group(grid, refitted, places))
    unit, offset = first.units
    most = 15 if name == "q2_k" else 63
    least = np.full(8, np.inf)
    for c in range(most + 1):
        for k in range(most + 1):
            values = grid.levels[places] * (c * unit) - k * offset
            least = np.minimum(least, cost(loss, values))
    span = cost(loss, in_group(grid, first, places)) - least
    assert (found - least <= 0.05 * span + 1e-6).all()


@every
def test_rows_of_zeros_stay_zeros(name):
    grid = require_any_grid(encoding(name))
    weights = np.zeros((grid.group, 3), np.float32)
    first = grid.choose_all(np.zeros((3, 256), np.float32), np.ones(256, np.float32))[0]
    loss = loss_of(grid.group, 3, weights)
    places = np.zeros(weights.shape, np.uint8)
    refitted = grid.refit(first, loss, places)
    assert (in_group(grid, refitted, places) == 0).all()


def test_other_encodings_keep_the_grid_they_have():
    assert any_grid_of(encoding("q4_0")).span == 32
    assert type(any_grid_of(encoding("nf4"))) is type(grid_of(encoding("nf4")))
    assert grid_of(encoding("q4_k")) is None


@pytest.mark.parametrize("name", ["bf16", "q8_0", "mxfp4", "int8"])
def test_encodings_without_a_grid_are_refused(name):
    assert any_grid_of(encoding(name)) is None
    with pytest.raises(UnsupportedEncodingError, match=name):
        require_any_grid(encoding(name))
