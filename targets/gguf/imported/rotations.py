"""By which angles a graph rotates queries and keys, found by computing its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.yarn import Stretch, stated_stretches, stretched

_CLOSE = 2e-6
"""Relative; tables are of float32."""
_LATER = 16
"""Angles at a power of two are exact multiples of those at position 1."""


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
class Longer:
    """What a rotation is in longer texts.

    Args:
        tokens: Of the longest text that is not one of them.
        frequencies: As those of `Rotation`.
    """

    tokens: int
    frequencies: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rotation:
    """A rotary embedding.

    Args:
        in_turn: Whether the two elements of a pair are side by side; else halves of a head apart.
        frequencies: Angle of each pair at position 1, float64 ``[pairs]``.
        factor: What cosines and sines are multiplied by.
        stated: What the config says.
        longer: What it is in longer texts; None for the same.
    """

    in_turn: bool
    frequencies: NDArray[np.float64]
    factor: float
    stated: Stated = field(default_factory=Stated)
    longer: Longer | None = None

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
        return self.factors_of(self.frequencies)

    def factors_of(self, frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each of other frequencies is as one of the base, divided."""
        factors: NDArray[np.float64] = self.base ** (-self._exponents) / frequencies
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
            and (self.longer is None) == (other.longer is None)
            and (
                self.longer is None
                or other.longer is None
                or bool(np.allclose(self.longer.frequencies, other.longer.frequencies, rtol=_CLOSE))
            )
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


def rotation(node: ir.Node, said: Stated | None = None, longest: int = 2) -> Rotation:
    """Of a RotaryEmbedding.

    Args:
        node: It.
        said: What the config says.
        longest: Tokens of the longest text.

    Raises:
        NotComputableError: Its tables depend on weights, or on the length of a text in more than
            two ways.
    """
    frequencies, factor = _angles(node, min(_LATER, max(1, longest - 1)))
    in_turn = node.attributes.get("interleaved")
    return Rotation(
        in_turn is not None and in_turn.as_int() == 1,
        frequencies,
        1.0 if abs(factor - 1) < _CLOSE else factor,
        said or Stated(),
        _longer(node, frequencies, factor, longest),
    )


def _angles(node: ir.Node, last: int) -> tuple[NDArray[np.float64], float]:
    """Angles at position 1 in a text that ends at another, and what cosines are multiplied by.

    Those at a later position say the same more exactly, but for whole turns.
    """
    angles, times = _angles_at(node, 1, last)
    if last >= _LATER:
        rest = _angles_at(node, _LATER, last)[0] - _LATER * angles
        angles = angles + ((rest + np.pi) % (2 * np.pi) - np.pi) / _LATER
    return angles, times


def _angles_at(node: ir.Node, position: int, last: int) -> tuple[NDArray[np.float64], float]:
    tables = []
    for table in node.inputs[1:3]:
        assert table is not None
        found = evaluated(table, {}, positions=(position, last)).astype(np.float64)
        tables.append(found.reshape(-1, found.shape[-1])[0])
    cos, sin = tables
    return np.arctan2(sin, cos), float(np.sqrt(cos**2 + sin**2).mean())


def _longer(
    node: ir.Node, frequencies: NDArray[np.float64], factor: float, longest: int
) -> Longer | None:
    """What the rotation of a token is where another is far away, found by halving the distance."""

    def differs(last: int, known: NDArray[np.float64]) -> bool:
        return not np.allclose(_angles(node, last)[0], known, rtol=_CLOSE)

    low, high = min(_LATER, max(1, longest - 1)), max(2, longest - 1)
    if not differs(high, frequencies):
        return None
    others, times = _angles(node, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if differs(middle, frequencies) else (middle, high)
    if differs(high, others) or abs(times - factor) > _CLOSE:
        raise NotComputableError(f"{node.name} of angles that change with the length of a text")
    return Longer(high, others)
