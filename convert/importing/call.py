"""One call of an operator of torch: its arguments by name, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.importing.axes import expression_of
from convert.importing.translation import BOOL, FLOAT, INT64, Made, Translation, dtype_of


class NoFormError(Exception):
    """An operator is called in a way that has no form here."""


@dataclass(frozen=True)
class Call:
    """A call.

    Args:
        to: Where operators are appended.
        arguments: By the names of the operator's schema; tensors as values of the graph.
        result: What torch says of the output: a tensor without data, or several.
    """

    to: Translation
    arguments: Mapping[str, Any]
    result: Any

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that may be left out."""
        found = self.arguments.get(name)
        return default if found is None else found

    @property
    def shape(self) -> tuple[Any, ...]:
        """Of the output."""
        return tuple(self.result.shape)

    @property
    def dtype(self) -> ir.DataType:
        """Of the output."""
        return dtype_of(self.result)

    @property
    def rank(self) -> int:
        """Of the output."""
        return len(self.result.shape)

    def tensor(self, name: str, dtype: ir.DataType | None = None) -> ir.Value:
        """An argument as a value of the graph, in ``dtype`` if one is given."""
        return self.as_value(self.arguments[name], dtype)

    def as_value(self, given: Any, dtype: ir.DataType | None = None) -> ir.Value:
        """A tensor, or a number as a constant."""
        if isinstance(given, ir.Value):
            return given if dtype is None else self.to.cast(given, dtype)
        if isinstance(given, bool | int | float):
            kind = dtype or (
                BOOL if isinstance(given, bool) else INT64 if isinstance(given, int) else FLOAT
            )
            return self.to.constant(_finite(given, kind), kind)
        if isinstance(expression_of(given), int):
            return self.as_value(expression_of(given), dtype)
        length = self.to.axes.scalar(given)
        return length if dtype is None else self.to.cast(length, dtype)

    def op(self, kind: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Append the operator that gives the output."""
        return self.to.op(kind, *inputs, shape=self.shape, dtype=self.dtype, attributes=attributes)

    def integers(self, *values: int) -> ir.Value:
        """A constant vector of i64."""
        return self.to.constant(np.array(values, np.int64))


Handler = Callable[[Call], Made]
"""Appends what gives the output of a call."""


def rank_of(value: ir.Value) -> int:
    """Number of axes."""
    assert value.shape is not None
    return len(value.shape)


def _finite(given: float, kind: ir.DataType) -> Any:
    """A number that the type holds: what stands for minus infinity in masks may not fit."""
    if kind != FLOAT:
        return given
    largest = float(np.finfo(np.float32).max)
    return min(max(given, -largest), largest) if math.isfinite(given) else given
