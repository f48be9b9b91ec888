"""Operators that look up, and those that make tensors out of nothing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from convert.importing.aten.shapes import expanded
from convert.importing.axes import expression_of
from convert.importing.call import Call, Handler, NoFormError, rank_of
from convert.importing.translation import BOOL, INT64, Made


def _embedding(call: Call) -> Made:
    return call.op("Gather", call.tensor("weight"), call.tensor("indices"), axis=0)


def _index(call: Call) -> Made:
    """``x[..., rows, ...]`` with one tensor of indices."""
    x = call.tensor("self")
    places = [(place, each) for place, each in enumerate(call["indices"]) if each is not None]
    if len(places) != 1 or places[0][1].dtype == BOOL:
        return _index_several(call, x, places)
    axis, rows = places[0]
    return call.op("Gather", x, rows, axis=axis)


def _index_several(call: Call, x: ir.Value, places: list[tuple[int, ir.Value]]) -> ir.Value:
    """``x[a, b]``, the first axes all indexed."""
    order = [place for place, _ in places]
    if order != list(range(len(order))) or any(each.dtype == BOOL for _, each in places):
        raise NoFormError("indexing by a mask, or of axes that are not the first")
    rank = max(rank_of(each) for _, each in places)
    shape = list(call.shape[:rank])
    columns = []
    for _, each in places:
        wide = call.to.op("Expand", each, call.to.axes.vector(shape), shape=shape, dtype=INT64)
        axis = call.integers(rank)
        columns.append(call.to.op("Unsqueeze", wide, axis, shape=[*shape, 1], dtype=INT64))
    joined = call.to.op(
        "Concat", *columns, shape=[*shape, len(columns)], dtype=INT64, attributes={"axis": rank}
    )
    return call.op("GatherND", x, joined)


def _index_select(call: Call) -> Made:
    x = call.tensor("self")
    return call.op("Gather", x, call.tensor("index"), axis=call["dim"] % rank_of(x))


def _gather(call: Call) -> Made:
    x = call.tensor("self")
    return call.op("GatherElements", x, call.tensor("index"), axis=call["dim"] % rank_of(x))


def _arange(call: Call) -> Made:
    bounds = (call.get("start", 0), call["end"], call.get("step", 1))
    known = [item if isinstance(item, float) else expression_of(item) for item in bounds]
    if all(isinstance(item, int | float) for item in known):
        return call.to.constant(np.arange(*known), call.dtype)
    return call.op("Range", *(call.as_value(item, call.dtype) for item in bounds))


def _filled(number: float | None) -> Handler:
    def handle(call: Call) -> Made:
        given = number if number is not None else call.get("fill_value", call.get("value", 0))
        return expanded(call, call.as_value(given, call.dtype))

    return handle


def _scalar(call: Call) -> Made:
    return call.as_value(call["s"], call.dtype)


def _triangle(upper: int) -> Handler:
    def handle(call: Call) -> Made:
        x = call.tensor("self")
        offset = call.as_value(call.get("diagonal", 0), INT64)
        return call.op("Trilu", x, offset, upper=upper)

    return handle


def _cumulative_sum(call: Call) -> Made:
    axis = call["dim"] % call.rank
    return call.op("CumSum", call.tensor("self", call.dtype), call.as_value(axis, INT64))


def _top_k(call: Call) -> Made:
    values, indices = call.result
    axis = call.get("dim", -1) % len(values.shape)
    count = call.to.axes.vector([call["k"]])
    found = call.to.several(
        "TopK",
        call.tensor("self"),
        count,
        shapes=[values.shape, indices.shape],
        attributes={"axis": axis, "largest": int(call.get("largest", True))},
    )
    found[1].type = ir.TensorType(INT64)
    return found


def _copy(call: Call) -> Made:
    return expanded(call, call.tensor("src", call.dtype))


def _named(names: str, handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), handler)


TABLES: Mapping[str, Handler] = {
    **_named("embedding.default", _embedding),
    **_named("index.Tensor", _index),
    **_named("index_select.default", _index_select),
    **_named("gather.default", _gather),
    **_named("arange.default arange.start arange.start_step", _arange),
    **_named("zeros.default zeros_like.default new_zeros.default", _filled(0)),
    **_named("empty.memory_format empty_like.default new_empty.default", _filled(0)),
    **_named("ones.default ones_like.default new_ones.default", _filled(1)),
    **_named("full.default full_like.default new_full.default", _filled(None)),
    **_named("fill_.Scalar fill.Scalar", _filled(None)),
    **_named("zero_.default zero.default", _filled(0)),
    **_named("scalar_tensor.default", _scalar),
    **_named("triu.default", _triangle(1)),
    **_named("tril.default", _triangle(0)),
    **_named("cumsum.default", _cumulative_sum),
    **_named("topk.default", _top_k),
    **_named("copy.default copy_.default", _copy),
}
