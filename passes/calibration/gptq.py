"""GPTQ: W → codes, column by column, each error made up for by the columns that follow.

The error of a linear layer's outputs is ``|X (W - Q)ᵀ|² = |L (W - Q)ᵀ|²`` with ``XᵀX = LᵀL`` and L
lower triangular. Row ``j`` of that product is ``L[j, j] (w_j - q_j) + sum_{i<j} L[j, i] (w_i -
q_i)``: it depends on the columns up to ``j`` alone, and is 0 if column ``j`` can be set to ``w_j +
sum_{i<j} L[j, i] / L[j, j] (w_i - q_i)``. To round that number leaves an error that costs
``L[j, j]²`` times its square, whatever follows. (Frantar et al., 2023, compute the same from the
Cholesky factor of the inverse.)

Columns with large inputs come first, so that many others can make up for them; but those of one
group together, so that its scale can be chosen when it is reached.

Columns that come last have none to make up for them. So all are gone through again afterwards, each
set to the level nearest to what suits all others as they have become, before and after it; and each
group's scale first to the one that suits its levels best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats
from passes.encodings.base import Bytes
from passes.encodings.grids import Grid, Scales

DAMPING = 0.1
"""Share of the mean second moment that is added to each, as if inputs had so much noise: some
thousand tokens say little of how a thousand inputs go together."""

PASSES = 2
"""After the first: each makes the error of SmolLM2's linear layers smaller, the first most."""

_PANEL = 256
_TURNED = 1 << 20


@dataclass(frozen=True)
class Factor:
    """The triangular factor of a layer's second moments, each row divided by its last element.

    Args:
        order: Numbers of the columns in the order of rounding.
        feedback: ``[columns, columns]``; what is above the diagonal is not used.
        costs: Squares of the elements on the diagonal.
        moments: What it is the factor of, but for the noise; in the order of the columns.
        noise: What was added to each element on the diagonal.
    """

    order: NDArray[np.int64]
    feedback: Floats
    costs: Floats
    moments: Floats
    noise: np.float32


def factor_of(moments: Floats, group: int) -> Factor:
    """The factor of the second moments of a layer's inputs.

    Args:
        moments: ``XᵀX [columns, columns]`` for the inputs ``X [tokens, columns]``.
        group: Columns that stay together.
    """
    order = order_of(np.einsum("ii->i", moments).astype(np.float64), group)
    # Turned around, L is the usual lower factor with its transpose behind it.
    turned = moments[np.ix_(order[::-1], order[::-1])]
    diagonal = np.einsum("ii->i", turned)
    mean = float(diagonal.mean(dtype=np.float64)) or 1.0
    noise = np.float32(DAMPING * mean)
    diagonal += noise
    factor = _turned_around(cholesky(turned)).T
    scale = np.einsum("ii->i", factor).copy()
    factor /= scale[:, None]
    return Factor(order, factor, scale * scale, moments, noise)


def _turned_around(matrix: Floats) -> Floats:
    """The matrix with its rows and columns in the opposite order, in the same memory."""
    flat = matrix.reshape(-1)
    for start in range(0, flat.size // 2, _TURNED):
        stop = min(start + _TURNED, flat.size // 2)
        front, back = flat[start:stop], flat[flat.size - stop : flat.size - start]
        kept = front.copy()
        front[:] = back[::-1]
        back[:] = kept[::-1]
    return matrix


def order_of(moments: NDArray[np.float64], group: int) -> NDArray[np.int64]:
    """Columns by falling second moments: whole groups, and within each group."""
    groups = moments.reshape(-1, group)
    ranked = np.argsort(-groups.sum(1), kind="stable")
    within = np.argsort(-groups[ranked], axis=1, kind="stable")
    order: NDArray[np.int64] = (ranked[:, None] * group + within).reshape(-1)
    return order


def cholesky(moments: Floats) -> Floats:
    """The lower factor of a positive definite matrix, which is overwritten by it.

    In panels, so that no second matrix of that size is in memory.
    """
    size = len(moments)
    for first in range(0, size, _PANEL):
        last = min(first + _PANEL, size)
        corner = np.linalg.cholesky(moments[first:last, first:last].astype(np.float64))
        inverse = np.linalg.inv(corner).astype(np.float32)
        moments[first:last, first:last] = corner
        moments[first:last, last:] = 0
        below = moments[last:, first:last] @ inverse.T
        moments[last:, first:last] = below
        for start in range(last, size, _PANEL):
            stop = min(start + _PANEL, size)
            moments[start:, start:stop] -= (
                below[start - last :] @ below[start - last : stop - last].T
            )
    return moments


def round_rows(rows: Floats, factor: Factor, grid: Grid) -> tuple[Bytes, ...]:
    """The planes of rows ``[n, columns]`` of a layer's weight.

    Raises:
        UnsupportedEncodingError: A weight is too large.
    """
    weights = np.ascontiguousarray(rows[:, factor.order].T)
    errors = np.empty_like(weights)
    places = np.empty(weights.shape, np.uint8)
    scales: dict[int, Scales] = {}
    for first in range(0, len(weights), grid.group):
        group = slice(first, first + grid.group)
        wanted = weights[group].copy()
        if first:
            wanted += factor.feedback[group, :first] @ errors[:first]
        number = int(factor.order[first]) // grid.group
        scales[number] = _round_group(weights[group], wanted, factor, group, grid, errors, places)
    for _ in range(PASSES):
        for first in range(0, len(weights), grid.group):
            group = slice(first, first + grid.group)
            number = int(factor.order[first]) // grid.group
            scales[number] = _improve_group(
                weights[group], factor, group, grid, scales[number], errors, places
            )
    in_place = np.empty(rows.shape, np.uint8)
    in_place[:, factor.order] = places.T
    return grid.pack(in_place, [scales[number] for number in sorted(scales)])


def _round_group(
    weights: Floats,
    wanted: Floats,
    factor: Factor,
    group: slice,
    grid: Grid,
    errors: Floats,
    places: Bytes,
) -> Scales:
    """Round the columns of a group with the scales that suit what is wanted of them."""
    from passes.encodings.kernels.feedback import round_in_order

    scales = grid.choose(np.ascontiguousarray(wanted.T), factor.costs[group])
    round_in_order(
        weights,
        wanted,
        np.ascontiguousarray(factor.feedback[group, group]),
        grid.midpoints,
        grid.levels,
        scales.grid(),
        errors[group],
        places[group],
    )
    return scales


def _improve_group(
    weights: Floats,
    factor: Factor,
    group: slice,
    grid: Grid,
    scales: Scales,
    errors: Floats,
    places: Bytes,
) -> Scales:
    """Round the columns of a group again, now that all others are."""
    from passes.encodings.kernels.feedback import round_in_order

    moments = factor.moments[np.ix_(factor.order[group], factor.order)]
    moments[:, group] += factor.noise * np.eye(len(weights), dtype=np.float32)
    own = np.ascontiguousarray(moments[:, group])
    others = moments @ errors - own @ errors[group]
    scales = _refitted(scales, weights, own, others, grid.levels[places[group]])
    grid_now = scales.grid()
    steps = grid.levels[places[group]] - grid_now[1]
    errors[group] = weights - (steps * grid_now[0] + grid_now[2])
    diagonal = np.einsum("ii->i", own)[:, None]
    round_in_order(
        weights,
        weights + (others + np.triu(own, 1) @ errors[group]) / diagonal,
        own / diagonal,
        grid.midpoints,
        grid.levels,
        grid_now,
        errors[group],
        places[group],
    )
    return scales


def _refitted(
    scales: Scales, weights: Floats, moments: Floats, others: Floats, levels: Floats
) -> Scales:
    """The scales that suit the levels of a group best, as they can be stored.

    With ``e = w - s u - m`` for steps ``u``, scale ``s`` and minimum ``m``, and ``o`` what the
    errors of other groups add, ``eᵀHe + 2 eᵀo`` is least for ``s = uᵀ(H(w - m) + o) / uᵀHu``.

    Args:
        weights: ``[group, rows]``.
        moments: ``[group, group]``.
        others: ``[group, rows]``.
        levels: ``[group, rows]``.
    """
    _, zeros, minima = scales.grid()
    steps = levels - zeros
    wanted = np.einsum("gr,gr->r", steps, moments @ (weights - minima) + others)
    size = np.einsum("gr,gr->r", steps, moments @ steps)
    with np.errstate(all="ignore"):
        found = (wanted / size).astype(np.float16)
    usable = np.isfinite(found) & (found != 0) & (np.signbit(found) == np.signbit(scales.scales))
    return replace(scales, scales=np.where(usable, found, scales.scales))
