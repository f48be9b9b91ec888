"""KL divergence of logits from others while a head's rows come one block after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats

LARGEST_RISE = np.float32(80)
"""Logits that rise by more count as risen by so much: their exponentials still are float32."""


class Divergences:
    """``KL(softmax(z) || softmax(y))`` of branches ``y`` from the texts ``z`` that they left.

    Logits of all tokens are never held. With ``p ∝ exp(z)`` and ``d = z - y`` the divergence is
    ``E_p[d] + log(1 + E_p[exp(-d) - 1])``, sums over the vocabulary that keep their precision
    where ``d`` is small, unlike a difference of two logarithms of sums.

    Args:
        inputs: Of the head, ``[tokens, features]`` for each text and each branch.
        origins: By number of a branch, the number of the text that it left.
    """

    def __init__(self, inputs: Sequence[Floats], origins: Mapping[int, int]) -> None:
        self._inputs = list(inputs)
        self._branches: dict[int, list[int]] = {}
        for branch, origin in origins.items():
            self._branches.setdefault(origin, []).append(branch)
        self._peak = {text: _like(inputs[text], -np.inf) for text in self._branches}
        self._total = {text: _like(inputs[text]) for text in self._branches}
        self._fall = {branch: _like(inputs[branch]) for branch in origins}
        self._rise = {branch: _like(inputs[branch]) for branch in origins}
        self._origins = dict(origins)

    def add(self, rows: Floats, rows_of: Callable[[int], Floats | None]) -> None:
        """Take in some rows ``[n, features]`` of the head.

        Args:
            rows_of: The same rows as a branch has them; None where it has these.
        """
        for text, branches in self._branches.items():
            logits = self._inputs[text] @ rows.T
            peak = np.maximum(self._peak[text], logits.max(axis=1))
            shrink = np.exp(self._peak[text] - peak)
            shares = np.exp(logits - peak[:, None].astype(np.float32))
            self._peak[text] = peak
            self._total[text] = self._total[text] * shrink + _sum(shares)
            for branch in branches:
                own = rows_of(branch)
                fallen = logits - self._inputs[branch] @ (rows if own is None else own).T
                self._fall[branch] = self._fall[branch] * shrink + _sum(shares * fallen)
                np.negative(fallen, out=fallen)
                np.minimum(fallen, LARGEST_RISE, out=fallen)
                np.expm1(fallen, out=fallen)
                fallen *= shares
                self._rise[branch] = self._rise[branch] * shrink + _sum(fallen)

    def of(self, branch: int) -> NDArray[np.float64]:
        """The divergence of each token of a branch, in nats, once all rows have come."""
        total = self._total[self._origins[branch]]
        found = self._fall[branch] / total + np.log1p(self._rise[branch] / total)
        return np.maximum(found, 0.0)


def _like(inputs: Floats, value: float = 0.0) -> NDArray[np.float64]:
    return np.full(len(inputs), value, np.float64)


def _sum(values: Floats) -> NDArray[np.float64]:
    total: NDArray[np.float64] = values.sum(axis=1, dtype=np.float64)
    return total
