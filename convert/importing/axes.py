"""Lengths of axes: as shapes of values, and as integers that the graph computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.errors import UnsupportedArchitectureError

Emit = Callable[..., ir.Value]

_KINDS = {
    **{name: name for name in ("Add", "Mul", "Mod", "Max", "Min")},
    **{"FloorDiv": "Div", "PythonMod": "Mod"},
}
"""Operator for each kind of expression; lengths are not negative, so that Div rounds down."""


class Axes:
    """The lengths that a program's shapes are made of.

    Args:
        names: Symbol of the program to name of the axis.
        sources: Name of the axis to an input that has it, and the place where.
        emit: Appends an operator, see `Translation.op`.
        constant: Makes a constant.
    """

    def __init__(
        self,
        names: Mapping[str, str],
        sources: Mapping[str, tuple[ir.Value, int]],
        emit: Emit,
        constant: Callable[[Any], ir.Value],
    ) -> None:
        self._names = names
        self._sources = sources
        self._emit = emit
        self._constant = constant
        self._computed: dict[str, ir.Value] = {}

    def dim(self, size: Any) -> int | str:
        """A length as one of a shape: a number, or an expression over names of axes."""
        if isinstance(size, str | ir.SymbolicDim):
            return str(size if isinstance(size, str) else size.value)
        expression = expression_of(size)
        if isinstance(expression, int):
            return expression
        text = {one: self._names.get(str(one), str(one)) for one in _symbols(expression)}
        if expression.is_Symbol:
            return text[expression]
        symbol = type(next(iter(text)))
        named = expression.xreplace({one: symbol(name) for one, name in text.items()})
        return str(named).replace(" ", "")

    def shape(self, sizes: Sequence[Any]) -> ir.Shape:
        """A shape."""
        return ir.Shape([self.dim(size) for size in sizes])

    def vector(self, sizes: Sequence[Any]) -> ir.Value:
        """Lengths as i64 ``[n]``: a constant where all are numbers."""
        known = [expression_of(size) for size in sizes]
        if all(isinstance(size, int) for size in known):
            return self._constant(np.array(known, np.int64))
        parts = [self._part(size) for size in known]
        if len(parts) == 1:
            return parts[0]
        return self._emit(
            "Concat", *parts, shape=(len(parts),), dtype=ir.DataType.INT64, attributes={"axis": 0}
        )

    def scalar(self, size: Any) -> ir.Value:
        """A length as i64 without axes."""
        known = expression_of(size)
        if isinstance(known, int):
            return self._constant(np.array(known, np.int64))
        axis = self._constant(np.array([0], np.int64))
        return self._emit("Squeeze", self._part(known), axis, shape=(), dtype=ir.DataType.INT64)

    def _part(self, expression: Any) -> ir.Value:
        """One length as i64 ``[1]``."""
        if isinstance(expression, int) or expression.is_Integer:
            return self._constant(np.array([int(expression)], np.int64))
        key = str(expression)
        if key not in self._computed:
            self._computed[key] = self._compute(expression)
        return self._computed[key]

    def _compute(self, expression: Any) -> ir.Value:
        if expression.is_Symbol:
            name = self._names.get(str(expression))
            if name not in self._sources:
                raise _unknown(expression)
            value, place = self._sources[str(name)]
            return self._emit(
                "Shape",
                value,
                shape=(1,),
                dtype=ir.DataType.INT64,
                attributes={"start": place, "end": place + 1},
            )
        kind = _KINDS.get(type(expression).__name__)
        if kind is None:
            raise _unknown(expression)
        result, *others = [self._part(part) for part in expression.args]
        for other in others:
            result = self._emit(kind, result, other, shape=(1,), dtype=ir.DataType.INT64)
        return result


def expression_of(size: Any) -> Any:
    """A number, or the sympy expression of a symbolic one."""
    if isinstance(size, int):
        return int(size)
    expression = size.node.expr if hasattr(size, "node") else size
    return int(expression) if getattr(expression, "is_Integer", False) else expression


def _symbols(expression: Any) -> list[Any]:
    return sorted(expression.free_symbols, key=str)


def _unknown(expression: Any) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        "a shape of the model follows from more than batch and tokens", found=str(expression)
    )
