"""GPTQ: W → codes, column by column, each error made up for by the columns that follow.

The error of a linear layer's outputs is ``|X (W - Q)ᵀ|² = |L (W - Q)ᵀ|²`` with ``XᵀX = LᵀL`` and L
lower triangular. Row ``j`` of that product is ``L[j, j] (w_j - q_j) + sum_{i<j} L[j, i] (w_i -
q_i)``: it depends on the columns up to ``j`` alone, and is 0 if column ``j`` can be set to ``w_j +
sum_{i<j} L[j, i] / L[j, j] (w_i - q_i)``. To round that number leaves an error that costs
``L[j, j]²`` times its square, whatever follows. (Frantar et al., 2023, compute the same from the
Cholesky factor of the inverse.)

Columns with large inputs come first, so that many others can make up for them; but those of one
group together, so that its scale can be chosen when it is reached. So do those of one super-block
where scales of groups are stored as multiples of its own: they are all chosen before its first
column is rounded.

Columns that come last have none to make up for them. So all are gone through again afterwards, each
set to the level nearest to what suits all others as they have become, before and after it; and each
group's scale first to the one that suits its levels best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats
from passes.encodings.base import Bytes
from passes.encodings.grids import Grid, Loss, Scales

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


def factor_of(moments: Floats, group: int, span: int | None = None) -> Factor:
    """The factor of the second moments of a layer's inputs.

    Args:
        moments: ``XᵀX [columns, columns]`` for the inputs ``X [tokens, columns]``.
        group: Columns that stay together.
        span: Columns of groups that stay together; None for one group.
    """
    order = order_of(np.einsum("ii->i", moments).astype(np.float64), group, span)
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


def order_of(
    moments: NDArray[np.float64], group: int, span: int | None = None
) -> NDArray[np.int64]:
    """Columns by falling second moments: whole spans, the groups within each, and within those."""
    groups = moments.reshape(-1, group)
    sums = groups.sum(1).reshape(-1, (span or group) // group)
    number = np.arange(sums.size).reshape(sums.shape)
    inner = np.argsort(-sums, axis=1, kind="stable")
    outer = np.argsort(-sums.sum(1), kind="stable")
    ranked = np.take_along_axis(number, inner, 1)[outer].reshape(-1)
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
    state = _State(rows, factor, grid)
    for first in range(0, len(state.weights), grid.span):
        state.round_span(first)
    for _ in range(PASSES):
        for first in range(0, len(state.weights), grid.group):
            state.improve_group(slice(first, first + grid.group))
    return state.planes()


class _State:
    """Rows that are being rounded, as columns in the order of rounding."""

    def __init__(self, rows: Floats, factor: Factor, grid: Grid) -> None:
        self.weights = np.ascontiguousarray(rows[:, factor.order].T)
        self._factor, self._grid = factor, grid
        self._errors = np.empty_like(self.weights)
        self._places = np.empty(self.weights.shape, np.uint8)
        self._scales: dict[int, Scales] = {}

    def round_span(self, first: int) -> None:
        """Round the columns of a span with the scales that suit what is wanted of them."""
        factor, grid = self._factor, self._grid
        span = slice(first, first + grid.span)
        wanted = self._wanted(self.weights[span], span, 0, first)
        numbers = factor.order[span][:: grid.group] // grid.group
        self._choose(wanted, factor.costs[span], numbers)
        for start in range(first, first + grid.span, grid.group):
            group = slice(start, start + grid.group)
            part = wanted[start - first : start - first + grid.group]
            self._round(
                group,
                self._wanted(part, group, first, start),
                np.ascontiguousarray(factor.feedback[group, group]),
                self._scales[self._number(group)],
            )

    def _wanted(self, values: Floats, columns: slice, first: int, last: int) -> Floats:
        """Values, and what the errors of columns from ``first`` to ``last`` leave to make up."""
        wanted: Floats = values.copy()
        if last > first:
            wanted += self._factor.feedback[columns, first:last] @ self._errors[first:last]
        return wanted

    def _choose(self, wanted: Floats, costs: Floats, numbers: NDArray[np.int64]) -> None:
        """Choose the scales of a span's groups, given in the order of rounding."""
        in_place, group = np.argsort(numbers), self._grid.group
        by_group = wanted.reshape(-1, group, wanted.shape[1])[in_place].reshape(wanted.shape)
        chosen = self._grid.choose_all(
            np.ascontiguousarray(by_group.T), costs.reshape(-1, group)[in_place].reshape(-1)
        )
        self._scales.update(zip(numbers[in_place].tolist(), chosen, strict=True))

    def improve_group(self, group: slice) -> None:
        """Round the columns of a group again, now that all others are."""
        factor, weights, errors = self._factor, self.weights[group], self._errors
        moments = factor.moments[np.ix_(factor.order[group], factor.order)]
        moments[:, group] += factor.noise * np.eye(len(weights), dtype=np.float32)
        own = np.ascontiguousarray(moments[:, group])
        others = moments @ errors - own @ errors[group]
        number, grid, places = self._number(group), self._grid, self._places[group]
        scales = grid.refit(self._scales[number], Loss(weights, own, others), places)
        self._scales[number] = scales
        scale, zero, minimum = scales.grid()
        errors[group] = weights - ((grid.levels[places] - zero) * scale + minimum)
        diagonal = np.einsum("ii->i", own)[:, None]
        wanted = weights + (others + np.triu(own, 1) @ errors[group]) / diagonal
        self._round(group, wanted, own / diagonal, scales)

    def _round(self, group: slice, wanted: Floats, feedback: Floats, scales: Scales) -> None:
        from passes.encodings.kernels.feedback import round_in_order, round_to_integers

        grid, given = self._grid, (self.weights[group], wanted, feedback)
        stored = (scales.grid(), self._errors[group], self._places[group])
        if grid.is_even:
            round_to_integers(*given, grid.levels[0], grid.levels[-1], *stored)
        else:
            round_in_order(*given, grid.midpoints, grid.levels, *stored)

    def _number(self, group: slice) -> int:
        return int(self._factor.order[group.start]) // self._grid.group

    def planes(self) -> tuple[Bytes, ...]:
        """What was rounded."""
        in_place = np.empty(self._places.shape[::-1], np.uint8)
        in_place[:, self._factor.order] = self._places.T
        return self._grid.pack(in_place, [self._scales[k] for k in sorted(self._scales)])
