"""Kernel that rounds columns one after another, each with what earlier errors leave to make up."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.codes import ROUND
from passes.encodings.kernels.compiling import Bytes, Floats, compiled

LANES = 64
"""Rows that are rounded together: their values of one column are a few vector registers."""


@compiled
def round_in_order(
    weights: Floats,
    wanted: Floats,
    feedback: Floats,
    midpoints: Floats,
    levels: Floats,
    grid: Floats,
    errors: Floats,
    places: Bytes,
) -> None:
    """Round a group of columns to ``scale * (level - zero) + minimum``.

    Column ``c`` is rounded to the level nearest to ``wanted[c] + sum_i feedback[c, i] *
    errors[i]`` over the columns ``i`` before it, where ``errors`` is weight minus rounded weight.

    Args:
        weights: ``[group, rows]``.
        wanted: ``[group, rows]``: the weights, and what the errors of earlier groups add.
        feedback: ``[group, group]``; what is not below the diagonal is not read.
        midpoints: ``[levels - 1]``, ascending.
        levels: Ascending.
        grid: ``[3, rows]``: scales, zeros and minima.
        errors: ``[group, rows]``, set.
        places: ``[group, rows]``, set to the numbers of the levels.
    """
    group, rows = weights.shape
    value, place = np.empty(LANES, np.float32), np.empty(LANES, np.int32)
    inverse = np.empty(LANES, np.float32)
    for first in range(0, rows, LANES):
        lanes = min(LANES, rows - first)
        for r in range(lanes):
            scale = grid[0, first + r]
            inverse[r] = np.float32(0) if scale == 0 else np.float32(1) / scale
        for c in range(group):
            for r in range(lanes):
                value[r] = wanted[c, first + r]
            for i in range(c):
                factor = feedback[c, i]
                for r in range(lanes):
                    value[r] += factor * errors[i, first + r]
            for r in range(lanes):
                place[r] = 0
            for k in range(midpoints.size):
                midpoint = midpoints[k]
                for r in range(lanes):
                    scaled = (value[r] - grid[2, first + r]) * inverse[r] + grid[1, first + r]
                    place[r] += np.int32(scaled > midpoint)
            for r in range(lanes):
                step = levels[place[r]] - grid[1, first + r]
                places[c, first + r] = place[r]
                rounded = np.float32(step * grid[0, first + r]) + grid[2, first + r]
                errors[c, first + r] = weights[c, first + r] - rounded


@compiled
def round_to_integers(
    weights: Floats,
    wanted: Floats,
    feedback: Floats,
    lowest: np.float32,
    highest: np.float32,
    grid: Floats,
    errors: Floats,
    places: Bytes,
) -> None:
    """`round_in_order` for levels that are successive integers: of two as near, to the even one.

    Args:
        lowest: Level.
        highest: Level.
    """
    group, rows = weights.shape
    value, inverse = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for first in range(0, rows, LANES):
        lanes = min(LANES, rows - first)
        for r in range(lanes):
            scale = grid[0, first + r]
            inverse[r] = np.float32(0) if scale == 0 else np.float32(1) / scale
        for c in range(group):
            for r in range(lanes):
                value[r] = wanted[c, first + r]
            for i in range(c):
                factor = feedback[c, i]
                for r in range(lanes):
                    value[r] += factor * errors[i, first + r]
            for r in range(lanes):
                scaled = (value[r] - grid[2, first + r]) * inverse[r] + grid[1, first + r]
                level = (min(max(scaled, lowest), highest) + ROUND) - ROUND
                places[c, first + r] = np.uint8(level - lowest)
                rounded = np.float32((level - grid[1, first + r]) * grid[0, first + r])
                errors[c, first + r] = weights[c, first + r] - (rounded + grid[2, first + r])
