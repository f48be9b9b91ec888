"""A mixture of experts: a router chooses, for each token, the few MLPs that it visits.

    y = Σ w[e] · expert_e(x)    over the experts e whose softmax(router(x))[e] is largest

Tokens are put in the order of their experts, each expert multiplies its own share of them, and
the results are put back: no product is computed that is not used, and every expert's matrices are
initializers of their own. An expert that nobody visits multiplies nothing.

Shapes: B batch, S new tokens, N = B·S of them, E experts, K of them for each token.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from convert.architectures.base import Experts, Shape
from convert.architectures.blocks import gate_with_silu, linear, size_of
from convert.architectures.builder import GraphBuilder

TOKENS, VISITS = "tokens", "visits"
"""Names of the axes that hold all new tokens, and each of them once for each expert it visits."""

_INT64, _FLOAT = ir.DataType.INT64, ir.DataType.FLOAT


class Routing(NamedTuple):
    """Where tokens go.

    Args:
        weights: What each of a token's experts counts, f32 ``[N, K]``.
        visits: Which experts these are, i64 ``[N·K]``, token by token.
    """

    weights: ir.Value
    visits: ir.Value


def routed_mlp(b: GraphBuilder, x: ir.Value, scope: str, experts: Experts) -> ir.Value:
    """What a token's experts make of it, and the shared one if there is one; ``[B, S, hidden]``."""
    assert x.shape is not None
    hidden = size_of(x, -1)
    flat = b.integers(f"shape_flat_{hidden}", -1, hidden)
    tokens = b.op("Reshape", x, flat, name=f"{scope}.tokens", shape=(TOKENS, hidden))
    routing = _route(b, tokens, scope, experts)
    mixed = _visit(b, tokens, routing, scope, experts)
    if experts.shared_ffn is not None:
        shared = _mlp(b, tokens, f"{scope}.shared_expert", experts)
        gate = linear(b, tokens, f"{scope}.shared_expert_gate")
        gate = b.op("Sigmoid", gate, name=f"{scope}.shared_expert_gate.Sigmoid")
        shared = b.op("Mul", shared, gate, name=f"{scope}.shared_expert.gated")
        mixed = b.op("Add", mixed, shared, name=f"{scope}.shared_expert.Add")
    rank = len(x.shape)
    shape = b.op("Shape", x, name=f"{scope}.Shape", shape=(rank,), dtype=_INT64)
    return b.op("Reshape", mixed, shape, name=f"{scope}.Reshape", shape=x.shape)


def expert_parameters(experts: Experts, scope: str, hidden: int) -> dict[str, Shape]:
    """Name and shape of the parameters of one layer's router and experts."""
    gate, up, down = experts.names.parts

    def mlp(name: str, ffn: int) -> dict[str, Shape]:
        return {
            f"{name}.{gate}.weight": (ffn, hidden),
            f"{name}.{up}.weight": (ffn, hidden),
            f"{name}.{down}.weight": (hidden, ffn),
        }

    shapes: dict[str, Shape] = {f"{scope}.gate.weight": (experts.count, hidden)}
    for number in range(experts.count):
        shapes |= mlp(f"{scope}.experts.{number}", experts.ffn)
    if experts.shared_ffn is not None:
        shapes |= mlp(f"{scope}.shared_expert", experts.shared_ffn)
        shapes[f"{scope}.shared_expert_gate.weight"] = (1, hidden)
    return shapes


def _route(b: GraphBuilder, tokens: ir.Value, scope: str, experts: Experts) -> Routing:
    scores = linear(b, tokens, f"{scope}.gate")
    chances = b.op("Softmax", scores, name=f"{scope}.gate.Softmax", axis=-1)
    each = (TOKENS, experts.used)
    weights, chosen = b.several(
        "TopK",
        chances,
        b.integers(f"count_{experts.used}", experts.used),
        name=f"{scope}.gate.TopK",
        outputs={
            f"{scope}.gate.weights": (each, _FLOAT),
            f"{scope}.gate.experts": (each, _INT64),
        },
        axis=-1,
        largest=1,
        sorted=1,
    )
    if experts.normalized:
        last = b.integers("axis_last", -1)
        total = b.op(
            "ReduceSum", weights, last, name=f"{scope}.gate.total", shape=(TOKENS, 1), keepdims=1
        )
        weights = b.op("Div", weights, total, name=f"{scope}.gate.Div")
    row = b.integers("shape_row", -1)
    visits = b.op("Reshape", chosen, row, name=f"{scope}.visits", shape=(VISITS,), dtype=_INT64)
    return Routing(weights, visits)


def _visit(
    b: GraphBuilder, tokens: ir.Value, routing: Routing, scope: str, experts: Experts
) -> ir.Value:
    """The weighted sum of what a token's experts make of it, ``[N, hidden]``."""
    hidden, used = size_of(tokens, -1), experts.used
    length = b.op("Shape", routing.visits, name=f"{scope}.visits.Shape", shape=(1,), dtype=_INT64)
    order = _ascending(b, routing.visits, length, f"{scope}.order")
    visitors = b.op(
        "Div", order, b.integer(f"divisor_{used}", used), name=f"{scope}.visitors", dtype=_INT64
    )
    sorted_shape = (VISITS, hidden)
    arriving = b.op(
        "Gather", tokens, visitors, name=f"{scope}.arriving", shape=sorted_shape, axis=0
    )
    names = [f"{scope}.experts.{number}" for number in range(experts.count)]
    shares = b.several(
        "Split",
        arriving,
        _counts(b, routing.visits, scope, experts),
        name=f"{scope}.experts.Split",
        outputs={f"{name}.tokens": ((f"{name}.tokens", hidden), _FLOAT) for name in names},
        axis=0,
    )
    made = [_mlp(b, share, name, experts) for share, name in zip(shares, names, strict=True)]
    leaving = b.op("Concat", *made, name=f"{scope}.experts.Concat", shape=sorted_shape, axis=0)
    places = _ascending(b, order, length, f"{scope}.places")
    own = b.op("Gather", leaving, places, name=f"{scope}.leaving", shape=sorted_shape, axis=0)
    cube = b.integers(f"shape_{used}_{hidden}", -1, used, hidden)
    own = b.op("Reshape", own, cube, name=f"{scope}.by_token", shape=(TOKENS, used, hidden))
    axis = b.integers("axis_1", 1)
    weights = b.op(
        "Unsqueeze", routing.weights, axis, name=f"{scope}.weights", shape=(TOKENS, 1, used)
    )
    mixed = b.op("MatMul", weights, own, name=f"{scope}.mixed", shape=(TOKENS, 1, hidden))
    return b.op("Squeeze", mixed, axis, name=f"{scope}.Squeeze", shape=(TOKENS, hidden))


def _mlp(b: GraphBuilder, x: ir.Value, scope: str, experts: Experts) -> ir.Value:
    """``down(silu(gate(x)) · up(x))``."""
    gate, up, down = (f"{scope}.{part}" for part in experts.names.parts)
    gated = gate_with_silu(b, linear(b, x, gate), linear(b, x, up), scope)
    return linear(b, gated, down)


def _ascending(b: GraphBuilder, x: ir.Value, length: ir.Value, name: str) -> ir.Value:
    """Places of the elements of ``x [N·K]`` in ascending order, the first of equals first."""
    axes = (VISITS,)
    _, places = b.several(
        "TopK",
        x,
        length,
        name=f"{name}.TopK",
        outputs={f"{name}.sorted": (axes, _INT64), name: (axes, _INT64)},
        axis=0,
        largest=0,
        sorted=1,
    )
    return places


def _counts(b: GraphBuilder, visits: ir.Value, scope: str, experts: Experts) -> ir.Value:
    """How many tokens visit each expert, i64 ``[E]``."""
    count = experts.count
    numbers = b.constant(f"experts_{count}", np.arange(count, dtype=np.int64)[None])
    axis = b.integers("axis_1", 1)
    column = b.op(
        "Unsqueeze", visits, axis, name=f"{scope}.visits.column", shape=(VISITS, 1), dtype=_INT64
    )
    table = (VISITS, count)
    hits = b.op("Equal", column, numbers, name=f"{scope}.hits", shape=table, dtype=ir.DataType.BOOL)
    ones = b.op("Cast", hits, name=f"{scope}.hits.Cast", shape=table, dtype=_INT64, to=_INT64)
    axes, name = b.integers("axis_0", 0), f"{scope}.counts"
    return b.op("ReduceSum", ones, axes, name=name, shape=(count,), dtype=_INT64, keepdims=0)
