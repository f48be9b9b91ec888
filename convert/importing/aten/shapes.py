"""Operators that move elements about and compute none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.importing.axes import expression_of
from convert.importing.call import Call, Handler, NoFormError, rank_of
from convert.importing.translation import INT64, Made

_END = np.iinfo(np.int64).max


def reshaped(call: Call, value: ir.Value, shape: Sequence[Any], dtype: ir.DataType) -> ir.Value:
    """The same elements in another shape; axes that stay in place are said to, not computed."""
    assert value.shape is not None
    wanted = [call.to.axes.dim(size) for size in shape]
    if list(value.shape) == wanted or list(map(str, value.shape)) == list(map(str, wanted)):
        return value
    open_axes, target = 0, []
    for place, size in enumerate(wanted):
        if isinstance(size, int):
            target.append(size)
        elif place < len(value.shape) and str(value.shape[place]) == size:
            target.append(0)
        else:
            target.append(-1)
            open_axes += 1
    if open_axes > 1 or any(size == 0 for size in wanted):
        vector = call.to.axes.vector(shape)
    else:
        vector = call.integers(*target)
    return call.to.op("Reshape", value, vector, shape=shape, dtype=dtype)


def _reshape(call: Call) -> Made:
    return reshaped(call, call.tensor("self"), call.shape, call.dtype)


def _transpose(call: Call) -> Made:
    order = list(range(call.rank))
    first, second = call["dim0"] % call.rank, call["dim1"] % call.rank
    order[first], order[second] = order[second], order[first]
    return call.op("Transpose", call.tensor("self"), perm=order)


def _turned(call: Call) -> Made:
    if call.rank < 2:
        return call.tensor("self")
    order = [*range(call.rank - 2), call.rank - 1, call.rank - 2]
    return call.op("Transpose", call.tensor("self"), perm=order)


def _permute(call: Call) -> Made:
    return call.op("Transpose", call.tensor("self"), perm=[dim % call.rank for dim in call["dims"]])


def _unsqueeze(call: Call) -> Made:
    return call.op("Unsqueeze", call.tensor("self"), call.integers(call["dim"] % call.rank))


def _squeeze(call: Call) -> Made:
    x = call.tensor("self")
    given = call.get("dim", range(rank_of(x)))
    dims = [given] if isinstance(given, int) else list(given)
    assert x.shape is not None
    dims = [dim % rank_of(x) for dim in dims if x.shape[dim % rank_of(x)] == 1]
    return call.op("Squeeze", x, call.integers(*dims)) if dims else x


def expanded(call: Call, value: ir.Value) -> ir.Value:
    """The value broadcast to the shape of the output."""
    assert value.shape is not None
    wanted = [call.to.axes.dim(size) for size in call.shape]
    if list(map(str, value.shape)) == list(map(str, wanted)):
        return value
    sizes = [
        1 if _stays(value, place - len(wanted), size) else call.shape[place]
        for place, size in enumerate(wanted)
    ]
    return call.op("Expand", value, call.to.axes.vector(sizes))


def _stays(value: ir.Value, place: int, size: int | str) -> bool:
    """Whether an axis, counted from the end, is as long as it shall be."""
    assert value.shape is not None
    return -place <= len(value.shape) and str(value.shape[place]) == str(size)


def _expand(call: Call) -> Made:
    return expanded(call, call.to.cast(call.tensor("self"), call.dtype))


def _broadcast(call: Call) -> Made:
    """Several tensors, each in the shape of all."""
    pairs = zip(call["tensors"], call.result, strict=True)
    return tuple(expanded(Call(call.to, call.arguments, made), value) for value, made in pairs)


def _concat(call: Call) -> Made:
    parts = [call.as_value(part, call.dtype) for part in call["tensors"]]
    axis = call.get("dim", 0) % call.rank
    # Torch takes an empty vector among tensors of any rank.
    full = [part for part in parts if part.shape is not None and 0 not in part.shape]
    return full[0] if len(full) == 1 else call.op("Concat", *full, axis=axis)


def _stack(call: Call) -> Made:
    axis = call.get("dim", 0) % call.rank
    shape = [1 if place == axis else size for place, size in enumerate(call.shape)]
    parts = [
        call.to.op(
            "Unsqueeze", call.as_value(part), call.integers(axis), shape=shape, dtype=call.dtype
        )
        for part in call["tensors"]
    ]
    return call.op("Concat", *parts, axis=axis)


def _slice(call: Call) -> Made:
    x, dim = call.tensor("self"), call.get("dim", 0) % call.rank
    assert x.shape is not None
    start, end, step = call.get("start", 0), call.get("end", _END), call.get("step", 1)
    if str(x.shape[dim]) == str(call.to.axes.dim(call.shape[dim])) and step == 1:
        return x
    return call.op(
        "Slice", x, _bound(call, start), _bound(call, end), call.integers(dim), call.integers(step)
    )


def _narrow(call: Call) -> Made:
    start, length = call["start"], call["length"]
    dim = call.integers(call["dim"] % call.rank)
    return call.op(
        "Slice",
        call.tensor("self"),
        _bound(call, start),
        _bound(call, start + length),
        dim,
        call.integers(1),
    )


def _bound(call: Call, place: Any) -> ir.Value:
    known = expression_of(place)
    return (
        call.integers(min(known, _END)) if isinstance(known, int) else call.to.axes.vector([place])
    )


def _select(call: Call) -> Made:
    x = call.tensor("self")
    index = call.as_value(call["index"], INT64)
    return call.op("Gather", x, index, axis=call["dim"] % rank_of(x))


def _split(call: Call) -> Made:
    """Into pieces of given sizes, as slices."""
    x = call.tensor("self")
    axis = call.get("dim", 0) % rank_of(x)
    parts, start = [], 0
    for each in call.result:
        size = expression_of(each.shape[axis])
        if not isinstance(size, int):
            raise NoFormError("a split of an axis without a number")
        bounds = (call.integers(start), call.integers(start + size))
        rest = (call.integers(axis), call.integers(1))
        parts.append(call.to.op("Slice", x, *bounds, *rest, shape=each.shape, dtype=x.dtype))
        start += size
    return tuple(parts)


def _unbind(call: Call) -> Made:
    x = call.tensor("self")
    axis = call.get("dim", 0) % rank_of(x)
    return tuple(
        call.to.op(
            "Gather",
            x,
            call.as_value(place, INT64),
            shape=each.shape,
            dtype=x.dtype,
            attributes={"axis": axis},
        )
        for place, each in enumerate(call.result)
    )


def _repeat(call: Call) -> Made:
    x = call.tensor("self")
    missing = len(call["repeats"]) - rank_of(x)
    if missing:
        axes = call.integers(*range(missing))
        assert x.shape is not None
        x = call.to.op("Unsqueeze", x, axes, shape=[*[1] * missing, *x.shape], dtype=x.dtype)
    return call.op("Tile", x, call.to.axes.vector(call["repeats"]))


def _repeat_interleave(call: Call) -> Made:
    """Each element several times in a row: broadcast along a new axis, then joined to the last."""
    x, times = call.tensor("self"), call["repeats"]
    if not isinstance(times, int) or call.get("dim") is None:
        raise NoFormError("repeat_interleave by a tensor")
    axis = call["dim"] % call.rank
    assert x.shape is not None
    inner = [*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]]
    wide = [*x.shape[: axis + 1], times, *x.shape[axis + 1 :]]
    column = call.to.op("Unsqueeze", x, call.integers(axis + 1), shape=inner, dtype=x.dtype)
    ones = [1] * len(inner)
    ones[axis + 1] = times
    column = call.to.op("Expand", column, call.integers(*ones), shape=wide, dtype=x.dtype)
    return reshaped(call, column, call.shape, call.dtype)


def _roll(call: Call) -> Made:
    x, (shift,), (dim,) = call.tensor("self"), call["shifts"], call["dims"]
    axis, step = call.integers(dim % call.rank), call.integers(1)
    sizes = list(call.shape)
    sizes[dim] = abs(shift)
    tail = call.to.op(
        "Slice",
        x,
        call.integers(-shift),
        call.integers(_END),
        axis,
        step,
        shape=sizes,
        dtype=x.dtype,
    )
    sizes[dim] = call.shape[dim] - abs(shift)
    head = call.to.op(
        "Slice", x, call.integers(0), call.integers(-shift), axis, step, shape=sizes, dtype=x.dtype
    )
    return call.op("Concat", tail, head, axis=dim % call.rank)


def _pad(call: Call) -> Made:
    pads = list(call["pad"])
    if call.get("mode", "constant") != "constant":
        raise NoFormError("padding that is no constant")
    before, after = [0] * call.rank, [0] * call.rank
    for place in range(len(pads) // 2):
        before[call.rank - 1 - place], after[call.rank - 1 - place] = pads[
            2 * place : 2 * place + 2
        ]
    vector = call.to.axes.vector([*before, *after])
    return call.op(
        "Pad", call.tensor("self"), vector, call.as_value(call.get("value", 0.0), call.dtype)
    )


def _named(names: str, handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), handler)


SHAPES: Mapping[str, Handler] = {
    **_named("view.default reshape.default _unsafe_view.default flatten.using_ints", _reshape),
    **_named("unflatten.int view_as.default reshape_as.default", _reshape),
    **_named("transpose.int swapaxes.default", _transpose),
    **_named("t.default numpy_T.default mT.default adjoint.default", _turned),
    **_named("permute.default", _permute),
    **_named("unsqueeze.default unsqueeze_.default", _unsqueeze),
    **_named("squeeze.dim squeeze.default squeeze.dims", _squeeze),
    **_named("expand.default expand_as.default broadcast_to.default", _expand),
    **_named("broadcast_tensors.default", _broadcast),
    **_named("cat.default concat.default", _concat),
    **_named("stack.default", _stack),
    **_named("slice.Tensor", _slice),
    **_named("narrow.default", _narrow),
    **_named("select.int", _select),
    **_named("split.Tensor split_with_sizes.default split.sizes chunk.default", _split),
    **_named("tensor_split.sections", _split),
    **_named("unbind.int", _unbind),
    **_named("repeat.default tile.default", _repeat),
    **_named("repeat_interleave.self_int", _repeat_interleave),
    **_named("roll.default", _roll),
    **_named("pad.default constant_pad_nd.default", _pad),
}
