"""Products, sums along axes, norms, softmax and convolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.importing.call import Call, Handler, NoFormError, rank_of
from convert.importing.translation import BOOL, FLOAT, INT64, Made


def _linear(call: Call) -> Made:
    """``x Wᵀ + bias``, said as in the hand-written graphs."""
    weight = call.tensor("weight")
    assert weight.shape is not None
    turned = call.to.op(
        "Transpose", weight, shape=list(weight.shape)[::-1], attributes={"perm": (1, 0)}
    )
    y = call.op("MatMul", call.tensor("input"), turned)
    bias = call.get("bias")
    return y if bias is None else call.op("Add", y, bias)


def _matmul(call: Call) -> Made:
    first, second = ("self", "other") if "other" in call.arguments else ("self", "mat2")
    return call.op("MatMul", call.tensor(first, call.dtype), call.tensor(second, call.dtype))


def _product_added(first: str, second: str) -> Handler:
    """``beta · self + alpha · first second``."""

    def handle(call: Call) -> Made:
        product = call.op("MatMul", call.tensor(first), call.tensor(second))
        alpha, beta = call.get("alpha", 1), call.arguments.get("beta", 1)
        if alpha != 1:
            product = call.op("Mul", product, call.as_value(float(alpha)))
        if beta == 0:
            return product
        added = call.tensor("self")
        if beta != 1:
            added = call.to.op("Mul", added, call.as_value(float(beta)), shape=added.shape or ())
        return call.op("Add", product, added)

    return handle


def _einsum(call: Call) -> Made:
    return call.op("Einsum", *call["tensors"], equation=call["equation"])


def _layer_norm(call: Call) -> Made:
    axes = len(call["normalized_shape"])
    scale, bias = call.get("weight"), call.get("bias")
    scale = scale if scale is not None else _ones(call, call["normalized_shape"])
    return call.op(
        "LayerNormalization",
        call.tensor("input"),
        *((scale,) if bias is None else (scale, bias)),
        axis=-axes,
        epsilon=float(call.get("eps", 1e-5)),
    )


def _rms_norm(call: Call) -> Made:
    scale = call.get("weight")
    scale = scale if scale is not None else _ones(call, call["normalized_shape"])
    epsilon = call.get("eps", float(np.finfo(np.float32).eps))
    axis = -len(call["normalized_shape"])
    return call.op(
        "RMSNormalization", call.tensor("input"), scale, axis=axis, epsilon=float(epsilon)
    )


def _ones(call: Call, shape: Any) -> ir.Value:
    return call.to.constant(np.ones([int(size) for size in shape], np.float32))


def _softmax(call: Call) -> Made:
    return call.op("Softmax", call.tensor("self", FLOAT), axis=call["dim"] % call.rank)


def _log_softmax(call: Call) -> Made:
    return call.op("LogSoftmax", call.tensor("self", FLOAT), axis=call["dim"] % call.rank)


def _reduced(kind: str) -> Handler:
    def handle(call: Call) -> Made:
        x = call.tensor("self")
        if x.dtype == BOOL and call.dtype != BOOL:
            x = call.to.cast(x, INT64)
        x = call.to.cast(x, call.dtype)
        given = call.get("dim")
        dims = range(rank_of(x)) if given is None or given == [] else given
        dims = [dims] if isinstance(dims, int) else list(dims)
        axes = call.integers(*(dim % rank_of(x) for dim in dims))
        return call.op(kind, x, axes, keepdims=int(bool(call.get("keepdim", False))))

    return handle


def _any(call: Call) -> Made:
    """Whether one of all elements is true."""
    x = call.to.cast(call.tensor("self", BOOL), INT64)
    given = call.get("dim")
    dims = (
        list(range(rank_of(x))) if given is None else [given] if isinstance(given, int) else given
    )
    axes = call.integers(*(dim % rank_of(x) for dim in dims))
    keep = {"keepdims": int(bool(call.get("keepdim", False)))}
    most = call.to.op("ReduceMax", x, axes, shape=call.shape, dtype=INT64, attributes=keep)
    return call.to.cast(most, BOOL)


def _variance(call: Call) -> Made:
    if call.get("correction", 1) != 0 and call.get("unbiased", True):
        raise NoFormError("a variance with a correction")
    x = call.tensor("self", FLOAT)
    axes = call.integers(*(dim % rank_of(x) for dim in call["dim"]))
    assert x.shape is not None
    last = list(x.shape)
    for dim in call["dim"]:
        last[dim] = 1
    mean = call.to.op("ReduceMean", x, axes, shape=last, attributes={"keepdims": 1})
    apart = call.to.op("Sub", x, mean, shape=x.shape)
    square = call.to.op("Mul", apart, apart, shape=x.shape)
    return call.op("ReduceMean", square, axes, keepdims=int(bool(call.get("keepdim", False))))


def _deviation(call: Call) -> Made:
    square = _variance(call)
    assert isinstance(square, ir.Value)
    return call.op("Sqrt", square)


def _all(call: Call) -> Made:
    """Whether all elements are true."""
    x = call.to.cast(call.tensor("self", BOOL), INT64)
    axes = call.integers(*range(rank_of(x)))
    least = call.to.op("ReduceMin", x, axes, shape=(), dtype=INT64, attributes={"keepdims": 0})
    return call.to.cast(least, BOOL)


def _vector_norm(call: Call) -> Made:
    if call.get("ord", 2) not in (2, 2.0) and call.get("p", 2) not in (2, 2.0):
        raise NoFormError("a norm that is not Euclid's")
    return _reduced("ReduceL2")(call)


def _attention(call: Call) -> Made:
    """Scaled dot products with a mask, computed by a model itself."""
    if call.get("is_causal", False) or call.get("attn_mask") is None:
        raise NoFormError("scaled_dot_product_attention without a mask")
    query = call.tensor("query")
    assert query.shape is not None
    size = query.shape[-1]
    assert isinstance(size, int)
    scale = call.get("scale", size**-0.5)
    tensors = [call.tensor(name) for name in ("query", "key", "value", "attn_mask")]
    return call.op("Attention", *tensors, scale=float(scale))


def _convolution(call: Call) -> Made:
    """Along one axis."""

    def first(name: str, default: int) -> int:
        given = call.get(name, default)
        return int(given[0]) if isinstance(given, list | tuple) else int(given)

    pad = first("padding", 0)
    inputs = [call.tensor("input"), call.tensor("weight")]
    bias = call.get("bias")
    return call.op(
        "Conv",
        *inputs,
        *(() if bias is None else (bias,)),
        strides=(first("stride", 1),),
        pads=(pad, pad),
        dilations=(first("dilation", 1),),
        group=int(call.get("groups", 1)),
    )


def _named(names: str, handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), handler)


PRODUCTS: Mapping[str, Handler] = {
    **_named("linear.default", _linear),
    **_named("matmul.default mm.default bmm.default", _matmul),
    **_named("addmm.default", _product_added("mat1", "mat2")),
    **_named("baddbmm.default", _product_added("batch1", "batch2")),
    **_named("einsum.default", _einsum),
    **_named("layer_norm.default", _layer_norm),
    **_named("rms_norm.default", _rms_norm),
    **_named("softmax.int _softmax.default", _softmax),
    **_named("log_softmax.int", _log_softmax),
    **_named("mean.dim mean.default", _reduced("ReduceMean")),
    **_named("sum.dim_IntList sum.default", _reduced("ReduceSum")),
    **_named("amax.default max.default", _reduced("ReduceMax")),
    **_named("amin.default min.default", _reduced("ReduceMin")),
    **_named("any.default any.dim", _any),
    **_named("_is_all_true.default all.default", _all),
    **_named("std.dim std.correction", _deviation),
    **_named("var.dim var.correction", _variance),
    **_named("linalg_vector_norm.default norm.ScalarOpt_dim", _vector_norm),
    **_named("scaled_dot_product_attention.default", _attention),
    **_named("conv1d.default", _convolution),
}
