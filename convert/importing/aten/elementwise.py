"""Operators that treat each element by itself."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from convert.importing.call import Call, Handler, NoFormError
from convert.importing.translation import BOOL, FLOAT, INT64, Made

_ORDER = (BOOL, ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.INT32, INT64, FLOAT)


def same(call: Call) -> Made:
    """What changes nothing."""
    return call.to.cast(call.tensor(next(iter(call.arguments))), call.dtype)


def _unary(kind: str) -> Handler:
    return lambda call: call.op(kind, call.tensor("self", call.dtype))


def _arithmetic(kind: str) -> Handler:
    """An operator of two operands in the type of its result, the second times ``alpha``."""

    def handle(call: Call) -> Made:
        dtype = call.dtype
        if dtype == BOOL:
            return call.op({"Add": "Or", "Mul": "And"}[kind], *_pair(call, BOOL))
        first, second = _pair(call, dtype)
        alpha = call.get("alpha", 1)
        if alpha != 1:
            factor = call.as_value(alpha, dtype)
            second = call.to.op("Mul", second, factor, shape=second.shape or (), dtype=dtype)
        return call.op(kind, first, second)

    return handle


def _divide(call: Call) -> Made:
    first, second = _pair(call, call.dtype)
    mode = call.get("rounding_mode")
    if mode is None:
        return call.op("Div", first, second)
    if mode == "trunc" and call.dtype != FLOAT:
        return call.op("Div", first, second)
    if mode != "floor":
        raise NoFormError(f"rounding_mode {mode}")
    if call.dtype == FLOAT:
        return call.op("Floor", call.op("Div", first, second))
    whole = call.op("Sub", first, call.op("Mod", first, second, fmod=0))
    return call.op("Div", whole, second)


def _floor_divide(call: Call) -> Made:
    return _divide(Call(call.to, {**call.arguments, "rounding_mode": "floor"}, call.result))


def _remainder(call: Call) -> Made:
    return call.op("Mod", *_pair(call, call.dtype), fmod=0)


def _reversed(call: Call) -> Made:
    first, second = _pair(call, call.dtype)
    return call.op("Sub", second, first)


def _compare(kind: str, *, negated: bool = False) -> Handler:
    def handle(call: Call) -> Made:
        found = call.op(kind, *_pair(call, _common(call)))
        return call.op("Not", found) if negated else found

    return handle


def _logical(kind: str) -> Handler:
    return lambda call: call.op(kind, *_pair(call, BOOL))


def _power(call: Call) -> Made:
    base, exponent = call.tensor("self"), call["exponent"]
    if not isinstance(exponent, ir.Value) and isinstance(base, ir.Value):
        base = call.to.cast(base, call.dtype)
        if exponent == 2:
            return call.op("Mul", base, base)
        if exponent == 0.5:
            return call.op("Sqrt", base)
        if exponent == -0.5:
            return call.op("Reciprocal", call.op("Sqrt", base))
    return call.op("Pow", call.tensor("self", call.dtype), call.tensor("exponent", call.dtype))


def _scalar_power(call: Call) -> Made:
    return call.op("Pow", call.tensor("self", call.dtype), call.tensor("exponent", call.dtype))


def _inverse_root(call: Call) -> Made:
    return call.op("Reciprocal", call.op("Sqrt", call.tensor("self", FLOAT)))


def _silu(call: Call) -> Made:
    x = call.tensor("self")
    return call.op("Mul", x, call.op("Sigmoid", x))


def _gelu(call: Call) -> Made:
    return call.op("Gelu", call.tensor("self"), approximate=call.get("approximate", "none"))


def _square(call: Call) -> Made:
    x = call.tensor("self", call.dtype)
    return call.op("Mul", x, x)


def _softplus(call: Call) -> Made:
    if call.get("beta", 1) != 1:
        raise NoFormError("softplus with a beta")
    return call.op("Softplus", call.tensor("self"))


def _leaky(call: Call) -> Made:
    return call.op("LeakyRelu", call.tensor("self"), alpha=float(call.get("negative_slope", 0.01)))


def _expm1(call: Call) -> Made:
    return call.op("Sub", call.op("Exp", call.tensor("self")), call.as_value(1.0))


def _log1p(call: Call) -> Made:
    return call.op("Log", call.op("Add", call.tensor("self"), call.as_value(1.0)))


def _clamp(call: Call) -> Made:
    x = call.tensor("self", call.dtype)
    low, high = call.get("min"), call.get("max")
    if low is not None:
        x = call.op("Max", x, call.as_value(low, call.dtype))
    if high is not None:
        x = call.op("Min", x, call.as_value(high, call.dtype))
    return x


def _where(call: Call) -> Made:
    condition = call.tensor("condition", BOOL)
    pair = (call.as_value(call[name], call.dtype) for name in ("self", "other"))
    return call.op("Where", condition, *pair)


def _masked_fill(call: Call) -> Made:
    fill = call.as_value(call["value"], call.dtype)
    return call.op("Where", call.tensor("mask", BOOL), fill, call.tensor("self", call.dtype))


def _convert(call: Call) -> Made:
    return call.to.cast(call.tensor("self"), call.dtype)


def _pair(call: Call, dtype: ir.DataType) -> tuple[ir.Value, ir.Value]:
    other = "other" if "other" in call.arguments else "exponent"
    return call.tensor("self", dtype), call.tensor(other, dtype)


def _common(call: Call) -> ir.DataType:
    """The type in which two operands are compared: a number takes that of the tensor, unless it is
    of a higher kind.
    """
    given = [call["self"], call["other"]]
    tensors = [item.dtype for item in given if isinstance(item, ir.Value)]
    kinds = [item for item in tensors if item is not None]
    kinds += [FLOAT for item in given if isinstance(item, float)]
    if BOOL in kinds and len(tensors) < 2:
        kinds += [INT64 for item in given if not isinstance(item, ir.Value | bool | float)]
    return max(kinds, key=_ORDER.index)


def _tensors(names: str, handler: Handler) -> dict[str, Handler]:
    """One handler for several overloads, those that write in place included."""
    return dict.fromkeys((f"aten.{name}" for name in names.split()), handler)


ELEMENTWISE: Mapping[str, Handler] = {
    **_tensors("add.Tensor add_.Tensor add.Scalar add_.Scalar", _arithmetic("Add")),
    **_tensors("sub.Tensor sub_.Tensor sub.Scalar", _arithmetic("Sub")),
    **_tensors("mul.Tensor mul_.Tensor mul.Scalar mul_.Scalar", _arithmetic("Mul")),
    **_tensors("multiply.Tensor", _arithmetic("Mul")),
    **_tensors("div.Tensor div_.Tensor div.Scalar div.Tensor_mode div.Scalar_mode", _divide),
    **_tensors("true_divide.Tensor", _divide),
    **_tensors("floor_divide.default floor_divide.Scalar", _floor_divide),
    **_tensors("remainder.Scalar remainder.Tensor", _remainder),
    **_tensors("rsub.Scalar rsub.Tensor", _reversed),
    **_tensors("pow.Tensor_Scalar pow.Tensor_Tensor", _power),
    **_tensors("pow.Scalar", _scalar_power),
    **_tensors("eq.Scalar eq.Tensor", _compare("Equal")),
    **_tensors("ne.Scalar ne.Tensor", _compare("Equal", negated=True)),
    **_tensors("lt.Scalar lt.Tensor", _compare("Less")),
    **_tensors("le.Scalar le.Tensor", _compare("LessOrEqual")),
    **_tensors("gt.Scalar gt.Tensor", _compare("Greater")),
    **_tensors("ge.Scalar ge.Tensor", _compare("GreaterOrEqual")),
    **_tensors("logical_and.default bitwise_and.Tensor __and__.Tensor", _logical("And")),
    **_tensors("logical_or.default bitwise_or.Tensor __or__.Tensor", _logical("Or")),
    **_tensors("minimum.default min.other", lambda call: call.op("Min", *_pair(call, call.dtype))),
    **_tensors("maximum.default max.other", lambda call: call.op("Max", *_pair(call, call.dtype))),
    **_tensors(
        "logical_not.default bitwise_not.default",
        lambda call: call.op("Not", call.tensor("self", BOOL)),
    ),
    **_tensors("neg.default", _unary("Neg")),
    **_tensors("abs.default", _unary("Abs")),
    **_tensors("exp.default", _unary("Exp")),
    **_tensors("log.default", _unary("Log")),
    **_tensors("sqrt.default", _unary("Sqrt")),
    **_tensors("reciprocal.default", _unary("Reciprocal")),
    **_tensors("sin.default", _unary("Sin")),
    **_tensors("cos.default", _unary("Cos")),
    **_tensors("erf.default", _unary("Erf")),
    # No operator of ONNX: it is computed where its operand is known, and refused elsewhere.
    **_tensors("erfinv.default", _unary("Erfinv")),
    **_tensors("tanh.default", _unary("Tanh")),
    **_tensors("floor.default", _unary("Floor")),
    **_tensors("ceil.default", _unary("Ceil")),
    **_tensors("sign.default", _unary("Sign")),
    **_tensors("sigmoid.default sigmoid_.default", _unary("Sigmoid")),
    **_tensors("relu.default relu_.default", _unary("Relu")),
    **_tensors("hardswish.default", _unary("HardSwish")),
    **_tensors("mish.default", _unary("Mish")),
    **_tensors("rsqrt.default", _inverse_root),
    **_tensors("square.default", _square),
    **_tensors("expm1.default", _expm1),
    **_tensors("log1p.default", _log1p),
    **_tensors("softplus.default", _softplus),
    **_tensors("leaky_relu.default", _leaky),
    **_tensors("silu.default silu_.default", _silu),
    **_tensors("gelu.default", _gelu),
    **_tensors(
        "clamp.default clamp.Tensor clamp_.default clamp_min.default clamp_max.default", _clamp
    ),
    **_tensors("where.self where.ScalarOther where.ScalarSelf where.Scalar", _where),
    **_tensors("masked_fill.Scalar masked_fill.Tensor masked_fill_.Scalar", _masked_fill),
    **_tensors(
        "to.dtype to.dtype_layout to.device to.other to.default _to_copy.default type_as.default",
        _convert,
    ),
    **_tensors(
        "contiguous.default clone.default detach.default detach_.default alias.default", same
    ),
    **_tensors("lift_fresh_copy.default dropout.default dropout_.default", same),
    **_tensors("feature_dropout.default native_dropout.default", same),
}
