"""By which angles a graph rotates queries and keys, found by computing its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from targets.gguf.imported.evaluating import evaluated
from targets.gguf.imported.yarn import Stretch, stated_stretches, stretched

_CLOSE = 2e-6
"""Relative; tables are of float32."""


@dataclass(frozen=True)
class Stated:
    """What a config says of its rotations, wherever it does.

    Args:
        bases: Of frequencies.
        stretches: Of contexts.
    """

    bases: tuple[float, ...] = ()
    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True, eq=False)
class Rotation:
    """A rotary embedding.

    Args:
        in_turn: Whether the two elements of a pair are side by side; else halves of a head apart.
        frequencies: Angle of each pair at position 1, float64 ``[pairs]``.
        factor: What cosines and sines are multiplied by.
        stated: What the config says.
    """

    in_turn: bool
    frequencies: NDArray[np.float64]
    factor: float
    stated: Stated = field(default_factory=Stated)

    @property
    def size(self) -> int:
        """Elements of a head that are rotated."""
        return 2 * len(self.frequencies)

    @cached_property
    def base(self) -> float:
        """One that all frequencies follow; if there is none, a stated one, or the first two's."""
        if len(self.frequencies) < 2:
            return 10000.0
        first, last = self.frequencies[0], self.frequencies[-1]
        base = float((first / last) ** (self.size / (self.size - 2)))
        rounded = float(f"{base:.6g}")
        if not np.allclose(rounded ** (-self._exponents) * first, self.frequencies, rtol=_CLOSE):
            second = float((first / self.frequencies[1]) ** (self.size / 2))
            rounded = self.stated.bases[0] if self.stated.bases else float(f"{second:.6g}")
        return rounded

    @cached_property
    def divisor(self) -> float | None:
        """What all frequencies are divided by; None if they are scaled unevenly."""
        ratio = self.factors
        return float(ratio[0]) if np.allclose(ratio, ratio[0], rtol=_CLOSE) else None

    @property
    def factors(self) -> NDArray[np.float64]:
        """What each frequency of the base is divided by."""
        factors: NDArray[np.float64] = self.base ** (-self._exponents) / self.frequencies
        return np.where(np.isclose(factors, 1, rtol=_CLOSE, atol=0), 1.0, factors)

    @property
    def _exponents(self) -> NDArray[np.float64]:
        return np.arange(0, self.size, 2, dtype=np.float64) / self.size

    @cached_property
    def stretch(self) -> Stretch | None:
        """The stretch of a context that all frequencies follow; None if none that is stated."""
        for each in self.stated.stretches:
            found = stretched(self.base, self.size, each)
            if np.allclose(found, self.frequencies, rtol=_CLOSE):
                return each
        return None

    def equals(self, other: Rotation) -> bool:
        """Whether both rotate alike."""
        return (
            self.in_turn == other.in_turn
            and self.size == other.size
            and bool(np.allclose(self.frequencies, other.frequencies, rtol=_CLOSE))
            and abs(self.factor - other.factor) < _CLOSE
        )


def stated(raw: Any) -> Stated:
    """What config.json says."""
    return Stated(_bases(raw), stated_stretches(raw))


def _bases(raw: Any) -> tuple[float, ...]:
    if not isinstance(raw, Mapping):
        return ()
    own = raw.get("rope_theta")
    inner = (base for value in raw.values() for base in _bases(value))
    return (*([float(own)] if isinstance(own, int | float) else []), *inner)


def rotation(node: ir.Node, said: Stated | None = None) -> Rotation:
    """Of a RotaryEmbedding.

    Args:
        node: It.
        said: What the config says.

    Raises:
        NotComputableError: Its tables depend on weights.
    """
    cos_table, sin_table = node.inputs[1], node.inputs[2]
    assert cos_table is not None and sin_table is not None
    cos = evaluated(cos_table, {}).reshape(-1).astype(np.float64)
    sin = evaluated(sin_table, {}).reshape(-1).astype(np.float64)
    factor = float(np.sqrt(cos**2 + sin**2).mean())
    in_turn = node.attributes.get("interleaved")
    return Rotation(
        in_turn is not None and in_turn.as_int() == 1,
        np.arctan2(sin, cos),
        1.0 if abs(factor - 1) < _CLOSE else factor,
        said or Stated(),
    )
