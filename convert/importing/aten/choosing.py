"""Operators that put in order and that write at computed places, as routers do."""

from __future__ import annotations

from collections.abc import Mapping

from convert.importing.call import Call, Handler, NoFormError, rank_of
from convert.importing.translation import INT64, Made


def _in_order(call: Call) -> tuple[Made, Made]:
    """Values and places along an axis, the first of equals first."""
    x = call.tensor("self")
    if rank_of(x) == 0:
        raise NoFormError("sorting a number")
    axis = call.get("dim", -1) % rank_of(x)
    first = call.result[0] if isinstance(call.result, tuple | list) else call.result
    values, places = call.to.several(
        "TopK",
        x,
        call.to.axes.vector([first.shape[axis]]),
        shapes=[first.shape, first.shape],
        dtype=x.dtype,
        attributes={"axis": axis, "largest": int(call.get("descending", False)), "sorted": 1},
    )
    places.dtype = INT64
    return values, places


def _sort(call: Call) -> Made:
    values, places = _in_order(call)
    assert not isinstance(values, tuple) and not isinstance(places, tuple)
    return values, places


def _places(call: Call) -> Made:
    return _in_order(call)[1]


def _extreme(kind: str, largest: int) -> Handler:
    """The largest or smallest along an axis, and the place of the first of them."""

    def handle(call: Call) -> Made:
        x = call.tensor("self")
        values, places = call.result
        axis = call.integers(call["dim"] % rank_of(x))
        kept = bool(call.get("keepdim", False))
        assert x.shape is not None
        shape = [1 if at == call["dim"] % rank_of(x) else size for at, size in enumerate(x.shape)]
        found = call.to.op(
            kind, x, axis, shape=values.shape, dtype=x.dtype, attributes={"keepdims": int(kept)}
        )
        given = {"axis": call["dim"] % rank_of(x), "largest": largest, "sorted": 1}
        _, first = call.to.several(
            "TopK", x, call.integers(1), shapes=[shape, shape], dtype=x.dtype, attributes=given
        )
        first.dtype = INT64
        if not kept:
            first = call.to.op("Squeeze", first, axis, shape=places.shape, dtype=INT64)
        return found, first

    return handle


def _index_add(call: Call) -> Made:
    """Rows added to those at computed places."""
    x, index, source = (call.tensor(name) for name in ("self", "index", "source"))
    if call["dim"] % call.rank != 0 or call.get("alpha", 1) != 1:
        raise NoFormError("index_add along another axis than the first")
    assert index.shape is not None
    column = call.to.op("Unsqueeze", index, call.integers(1), shape=[*index.shape, 1], dtype=INT64)
    return call.op("ScatterND", x, column, source, reduction="add")


def _scatter(reduction: str) -> Handler:
    """Values, or one number, written at places along an axis."""

    def handle(call: Call) -> Made:
        x, index = call.tensor("self", call.dtype), call.tensor("index")
        source = call.get("src", call.get("value", 0))
        values = call.as_value(source, call.dtype)
        assert index.shape is not None
        if rank_of(values) == 0:
            shape = call.to.op("Shape", index, shape=(rank_of(index),), dtype=INT64)
            values = call.to.op("Expand", values, shape, shape=index.shape, dtype=call.dtype)
        elif list(map(str, values.shape or ())) != list(map(str, index.shape)):
            raise NoFormError("scattering some of the values")
        axis = call["dim"] % call.rank
        attributes = {"axis": axis} | ({"reduction": reduction} if reduction else {})
        return call.op("ScatterElements", x, index, values, **attributes)

    return handle


def _named(names: str, handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys((f"aten.{name}" for name in names.split()), handler)


CHOOSING: Mapping[str, Handler] = {
    **_named("sort.default sort.stable", _sort),
    **_named("argsort.default argsort.stable", _places),
    **_named("scatter.value scatter_.value scatter.src scatter_.src", _scatter("")),
    **_named("max.dim", _extreme("ReduceMax", 1)),
    **_named("min.dim", _extreme("ReduceMin", 0)),
    **_named("index_add.default index_add_.default", _index_add),
    **_named("scatter_add.default scatter_add_.default", _scatter("add")),
}
