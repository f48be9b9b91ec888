"""Kernel that chooses the scales of 4-bit formats by importances of the columns."""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, float_of, halves_above, halves_of, reciprocals
from passes.encodings.kernels.blocks import extremes, farthest, magnitudes
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bits,
    Floats,
    Index,
    Words,
    compiled,
)
from passes.encodings.kernels.fitting import fit_nf4, fit_ranges, fit_signed, fit_zeroed
from passes.encodings.kernels.integers import round_zero_points, wanted_scales
from passes.encodings.kernels.tiles import importance_tile, lay_out, load_rows, rows_together

SIGNED_BLOCKS, RANGES, SIGNED, ZEROED, NF4 = 0, 1, 2, 3, 4
"""Of q4_0, q4_1, int4_sym, int4 and nf4."""

LARGEST_HALF = np.float32(65504)


@compiled
def weighted_scales(
    words: Words, kind: int, importance: Floats, form: int, scales: Floats, shifts: Floats
) -> int:
    """The scale of each block of weights, not yet rounded to float16.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1.
        form: What is stored.
        scales: ``[n * blocks of a row]``.
        shifts: The same; set to zero points, to the minima of q4_1, or to zeros.
    """
    blocks = scales.size // words.shape[0]
    width, together = np.uint64(importance.size // blocks), rows_together(words.shape[0], blocks)
    rows = np.zeros(together * importance.size, np.uint32)
    m = importance_tile(importance, importance.size // blocks, together)
    x, mx, lanes = np.empty_like(m), np.empty_like(m), m.shape[1]
    scale, shift = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    inverse, origin = np.empty(lanes, np.float32), np.zeros(lanes, np.float32)
    gain, factor = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    for first in range(0, words.shape[0], together):
        used = load_rows(words, first, kind, rows) * blocks
        report = usual_scales(rows, width, form, scale, shift)
        if report != FINE:
            return report
        inverse[:] = scale
        reciprocals(inverse)
        if form == RANGES:
            origin[:] = shift
        lay_out(rows, width, origin, inverse, m, x, mx)
        if form == RANGES:
            fit_ranges(x, m, mx, gain, factor, origin)
            move(shift, scale, factor, origin)
        elif form == ZEROED:
            fit_zeroed(x, m, mx, gain, factor, shift)
        elif form == NF4:
            fit_nf4(x, m, mx, gain, factor)
        else:
            fit_signed(x, m, mx, gain, factor)
        rescale(scale, factor)
        scales[first * blocks : first * blocks + used] = scale[:used]
        shifts[first * blocks : first * blocks + used] = shift[:used]
    return FINE


@compiled
def usual_scales(rows: Bits, width: Index, form: int, scale: Floats, shift: Floats) -> int:
    """The scales and shifts that the plain kernels choose, and what they report."""
    positive, negative = np.empty(scale.size, np.uint32), np.empty(scale.size, np.uint32)
    halves, codes = np.empty(scale.size, np.uint16), np.empty(scale.size, np.uint8)
    shift[:], fine = ZERO, True
    if not magnitudes(rows, width, positive, negative):
        return NOT_FINITE
    if form == RANGES:
        extremes(rows, width, positive, negative, shift, scale)
        for b in range(np.uint64(scale.size)):
            scale[b] = (scale[b] - shift[b]) / np.float32(15)
        fine = halves_of(scale, halves) and halves_of(shift, halves)
    elif form == SIGNED_BLOCKS:
        farthest(rows, width, positive, negative, scale)
        for b in range(np.uint64(scale.size)):
            scale[b] = scale[b] / np.float32(-8)
        fine = halves_of(scale, halves)
    elif form == NF4:
        for b in range(np.uint64(scale.size)):
            scale[b] = float_of(max(positive[b], negative[b]))
        fine = halves_above(scale, halves)
    else:
        lowest, highest = (0, 15) if form == ZEROED else (-8, 7)
        bounds = (np.float32(lowest), np.float32(highest))
        wanted_scales(rows, width, positive, negative, bounds, scale)
        fine = halves_above(scale, halves)
        if form == ZEROED:
            inverse = scale.copy()
            reciprocals(inverse)
            round_zero_points(negative, inverse, shift, codes)
    return FINE if fine else OUT_OF_RANGE


@compiled
def rescale(scale: Floats, factor: Floats) -> None:
    """Multiply each scale, unless float16 could not hold it then."""
    for b in range(np.uint64(scale.size)):
        scaled = scale[b] * factor[b]
        scale[b] = scaled if abs(scaled) <= LARGEST_HALF else scale[b]


@compiled
def move(minimum: Floats, scale: Floats, factor: Floats, origin: Floats) -> None:
    """Move each minimum by ``origin`` scales, or, where float16 could not hold it then, leave it
    and make the factor of its scale 1.
    """
    for b in range(np.uint64(scale.size)):
        moved = minimum[b] + scale[b] * origin[b]
        fits = abs(moved) <= LARGEST_HALF
        minimum[b] = moved if fits else minimum[b]
        factor[b] = factor[b] if fits else np.float32(1)
