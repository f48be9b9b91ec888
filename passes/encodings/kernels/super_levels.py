"""Kernels of Q6_K, Q3_K and IQ4_XS: super-blocks whose groups have scales that are codes, too.

Sixteen super-blocks lie side by side. First a scale is fitted to each group of weights. Then one
to these scales: they are numbers that are rounded to the levels of their codes, and each counts as
much as the sum B of its group, since an error e of the scale adds e**2 * B to the squared error of
the weights. The weights are rounded at last, with the scales as they are stored.
"""

from __future__ import annotations

import numpy as np

from passes.encodings.kernels.bits import ZERO, halves_above, halves_of, reciprocal
from passes.encodings.kernels.compiling import (
    FINE,
    NOT_FINITE,
    OUT_OF_RANGE,
    Bytes,
    Floats,
    Halves,
    Index,
    Words,
    compiled,
)
from passes.encodings.kernels.fitting import reciprocals_of
from passes.encodings.kernels.levels import (
    CODEBOOK,
    are_finite,
    choose_levels,
    farthest_weights,
    fit_levels,
    lowest_level,
    nearest_halves,
    nearest_integers,
    within_halves,
)
from passes.encodings.kernels.packing import pack_iq4_xs, pack_q3_k, pack_q6_k
from passes.encodings.kernels.tiles import (
    SIXTEEN,
    importance_tiles,
    load_rows,
    rows_together,
    side_by_side,
)
from passes.encodings.kernels.vectors import (
    LANES,
    Vector,
    fused,
    load,
    minus,
    over,
    spread,
    store,
    times,
    where_above,
)

SUPER_BLOCK = np.uint64(256)
Q3_LEVELS = 8


@compiled
def searched_super_blocks(
    words: Words,
    kind: int,
    importance: Floats,
    groups: int,
    levels: int,
    scale_levels: int,
    factors: Floats,
    neighbours: Floats,
    scale_factors: Floats,
    out: Bytes,
) -> int:
    """Super-blocks of Q6_K, Q3_K or IQ4_XS.

    Args:
        words: ``[n, words of a row]``.
        kind: What the words are.
        importance: Of each column, 0 to 1.
        groups: Of a super-block.
        levels: Of the weights; tells the formats apart.
        scale_levels: Of the scales of groups.
        factors: See `fit_levels`; for the weights.
        neighbours: Likewise.
        scale_factors: Likewise, for the scales of groups.
        out: ``[n * super-blocks of a row, bytes of a super-block]``.
    """
    blocks, columns = out.shape[0] // words.shape[0], importance.size
    together = rows_together(words.shape[0], blocks)
    m = importance_tiles(importance, 256, together)
    x, rows, codes = np.empty_like(m), np.zeros(m.size, np.uint32), np.empty(m.size, np.uint8)
    head, halves = np.empty(m.size // 256, np.float32), np.empty(m.size // 256, np.uint16)
    inverse, scales = (
        np.empty(head.size * groups, np.float32),
        np.empty(head.size * groups, np.uint8),
    )
    scale, weight = np.empty((2, groups * LANES), np.float32)
    for n in range(0, words.shape[0], together):
        used = load_rows(words, n, kind, rows[: together * columns]) * blocks
        side_by_side(rows, SUPER_BLOCK, x)
        if not are_finite(x):
            return NOT_FINITE
        for tile in range(np.uint64(head.size) // SIXTEEN):
            first = np.uint64(tile) * SIXTEEN
            last = first + SIXTEEN
            fit_groups(x, m, first, levels, factors, neighbours, scale, weight)
            if not fit_heads(scale, weight, scale_levels, scale_factors, head[first:last]):
                return OUT_OF_RANGE
            start, stop = first * np.uint64(groups), last * np.uint64(groups)
            turn_codes(
                scale, scale_levels, head[first:last], scales[start:stop], inverse[start:stop]
            )
        halves_of(head, halves)
        choose_levels(rows, SUPER_BLOCK // np.uint64(groups), levels, inverse, codes)
        store_super_blocks(halves, scales, codes, levels, out[n * blocks : n * blocks + used])
    return FINE


@compiled
def fit_groups(
    x: Floats,
    m: Floats,
    first: Index,
    levels: int,
    factors: Floats,
    neighbours: Floats,
    scale: Floats,
    weight: Floats,
) -> None:
    """Scales and what B is with them, ``[groups, 16]``, of sixteen super-blocks from ``first`` on.

    Others as for `fit_levels`.
    """
    groups, lowest = np.uint64(scale.size) // SIXTEEN, spread(lowest_level(levels))
    width = SUPER_BLOCK // groups
    for g in range(groups):
        start = first * SUPER_BLOCK + g * width * SIXTEEN
        usual = over(farthest_weights(x, start, width), lowest)
        found, b = fit_levels(x, m, start, width, levels, usual, factors, neighbours)
        store(times(usual, found), scale, g * SIXTEEN)
        store(b, weight, g * SIXTEEN)


@compiled
def fit_heads(scale: Floats, weight: Floats, levels: int, factors: Floats, head: Floats) -> bool:
    """The float16 that the scales of sixteen super-blocks' groups are multiples of.

    Args:
        scale: ``[groups, 16]``; set to the multiples.
        weight: How much each counts.
        levels: Of the multiples.
        factors: See `fit_levels`.
        head: Set, sixteen.

    Returns:
        Whether none is too large.
    """
    first, groups = np.uint64(0), np.uint64(scale.size) // SIXTEEN
    above, halves = np.empty(LANES, np.float32), np.empty(LANES, np.uint16)
    usual = over(farthest_weights(scale, first, groups), spread(lowest_level(levels)))
    store(usual, head, first)
    if not halves_of(head, halves):
        return False
    found, _ = fit_levels(scale, weight, first, groups, levels, usual, factors, above[:0])
    store(within_halves(times(usual, found)), head, first)
    above[:] = head
    nearest_halves(head, halves)
    # Float16 denormals are so coarse that the farther of the two may be the better.
    halves_above(above, halves)
    inverse = reciprocals_of(usual)
    near, far = times(load(head, first), inverse), times(load(above, first), inverse)
    near_error = scale_error(scale, weight, levels, near)
    far_error = scale_error(scale, weight, levels, far)
    chosen = where_above(near_error, far_error, far, near)
    store(where_above(near_error, far_error, load(above, first), load(head, first)), head, first)
    factor = reciprocals_of(chosen)
    for i in range(first, groups * SIXTEEN, SIXTEEN):
        store(nearest_integers(times(load(scale, i), factor), levels), scale, i)
    return True


@compiled
def scale_error(scale: Floats, weight: Floats, levels: int, unit: Vector) -> Vector:
    """The weighted squared error of sixteen super-blocks' scales as multiples of units."""
    factor, error = reciprocals_of(unit), spread(ZERO)
    for i in range(np.uint64(0), np.uint64(scale.size), SIXTEEN):
        exact = load(scale, i)
        code = nearest_integers(times(exact, factor), levels)
        missing = minus(exact, times(unit, code))
        error = fused(times(load(weight, i), missing), missing, error)
    return error


@compiled
def turn_codes(scale: Floats, levels: int, head: Floats, scales: Bytes, inverse: Floats) -> None:
    """Codes from 0 on, and reciprocals of scales, super-block by super-block.

    Args:
        scale: Multiples of ``head``, ``[groups, 16]``.
        levels: Of these.
        head: Of each super-block.
        scales: Codes, set.
        inverse: Set.
    """
    groups, up = np.uint64(scale.size) // SIXTEEN, -lowest_level(levels)
    for b in range(SIXTEEN):
        for g in range(groups):
            code = scale[g * SIXTEEN + b]
            scales[b * groups + g] = np.uint8(code + up)
            inverse[b * groups + g] = reciprocal(head[b] * code)


@compiled
def store_super_blocks(
    halves: Halves, scales: Bytes, codes: Bytes, levels: int, out: Bytes
) -> None:
    """Write as many super-blocks as there is room for."""
    if levels == CODEBOOK:
        pack_iq4_xs(halves, scales, codes, out)
    elif levels == Q3_LEVELS:
        pack_q3_k(halves, scales, codes, out)
    else:
        pack_q6_k(halves, scales, codes, out)
