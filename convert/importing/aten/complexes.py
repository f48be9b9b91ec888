"""Complex numbers, which graphs do not have, as two tensors: real and imaginary parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import onnx_ir as ir

from convert.importing.call import Call, Handler, NoFormError, rank_of
from convert.importing.translation import FLOAT, INT64, Made


class Complex(NamedTuple):
    """A complex tensor.

    Args:
        real: Its real part.
        imaginary: Its imaginary part, of the same shape.
    """

    real: ir.Value
    imaginary: ir.Value


def _polar(call: Call) -> Any:
    length, angle = call.tensor("abs"), call.tensor("angle")
    return Complex(
        *(_float(call, "Mul", length, _float(call, kind, angle)) for kind in ("Cos", "Sin"))
    )


def _from_pairs(call: Call) -> Any:
    """Of the two elements along the last axis, the first is the real part."""
    x = call.tensor("self", FLOAT)
    parts = (call.to.constant(place, INT64) for place in (0, 1))
    axis = {"axis": rank_of(x) - 1}
    return Complex(
        *(call.to.op("Gather", x, place, shape=call.shape, attributes=axis) for place in parts)
    )


def _to_pairs(call: Call) -> Made:
    numbers: Complex = call["self"]
    axis = call.integers(call.rank - 1)
    shape = [*call.shape[:-1], 1]
    columns = [call.to.op("Unsqueeze", part, axis, shape=shape) for part in numbers]
    return call.op("Concat", *columns, axis=call.rank - 1)


def _product(call: Call) -> Any:
    first, second = call["self"], call["other"]
    if not isinstance(first, Complex) or not isinstance(second, Complex):
        number, factor = (first, second) if isinstance(first, Complex) else (second, first)
        factor = call.as_value(factor, FLOAT)
        return Complex(*(_float(call, "Mul", part, factor) for part in number))
    (a, b), (c, d) = first, second
    ac, bd = _float(call, "Mul", a, c), _float(call, "Mul", b, d)
    bc, ad = _float(call, "Mul", b, c), _float(call, "Mul", a, d)
    return Complex(_float(call, "Sub", ac, bd), _float(call, "Add", bc, ad))


def _float(call: Call, kind: str, *inputs: ir.Value) -> ir.Value:
    return call.to.op(kind, *inputs, shape=call.shape)


COMPLEX: Mapping[str, Handler] = {
    "aten.polar.default": _polar,
    "aten.complex.default": lambda call: Complex(call.tensor("real"), call.tensor("imag")),
    "aten.view_as_complex.default": _from_pairs,
    "aten.view_as_real.default": _to_pairs,
    "aten.real.default": lambda call: call["self"].real,
    "aten.imag.default": lambda call: call["self"].imaginary,
}
"""Operators between tensors and complex ones."""

_PRODUCTS = ("aten.mul.Tensor",)

_PART_BY_PART = frozenset(
    f"aten.{name}"
    for name in (
        *(
            "unsqueeze.default",
            "to.device",
            "to.dtype",
            "to.dtype_layout",
            "slice.Tensor",
            "index.Tensor",
            "view.default",
        ),
        *("reshape.default", "expand.default", "transpose.int", "permute.default", "clone.default"),
        *("contiguous.default", "select.int", "squeeze.dim", "alias.default", "detach.default"),
    )
)
"""Operators that move elements about."""


def of_complex(name: str, call: Call, handlers: Mapping[str, Handler]) -> Any:
    """The output of an operator that is given a complex tensor.

    Raises:
        NoFormError: There is none.
    """
    if name in COMPLEX:
        return COMPLEX[name](call)
    if name in _PRODUCTS:
        return _product(call)
    if name not in _PART_BY_PART or "complex" not in str(call.result.dtype):
        raise NoFormError("complex numbers")
    parts: list[Any] = []
    for place in (0, 1):
        arguments = {
            key: item[place] if isinstance(item, Complex) else item
            for key, item in call.arguments.items()
        }
        parts.append(handlers[name](Call(call.to, arguments, _Real(call.result))))
    return Complex(*parts)


class _Real:
    """What torch says of a complex tensor, of one of its parts."""

    dtype = "torch.float32"

    def __init__(self, result: Any) -> None:
        self.shape = result.shape
