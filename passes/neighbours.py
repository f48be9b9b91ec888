"""Convolutions over the sequence as products of a matrix with neighbouring tokens.

Shapes: B batch, S new tokens, K kernel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.convolution_weights import CarriedBias, CollapsedTaps, Taps
from convert.graph import QUERY_KEPT, after
from convert.parameter import Parameter
from convert.weights import Weight
from passes.convolutions import CausalConvolution
from passes.insertion import Insertion


@dataclass(frozen=True)
class Filter:
    """Two convolutions of which the second reads nothing but the first, masked.

    Args:
        inner: The first.
        outer: The second.
        kept: 1 for a token, 0 for padding, f32 ``[B, S, 1]``.
    """

    inner: CausalConvolution
    outer: CausalConvolution
    kept: ir.Value

    @property
    def scope(self) -> str:
        """Name of the module that holds both."""
        return self.outer.scope.rpartition(".")[0]

    @property
    def weights(self) -> int:
        """Weights of both."""
        both = (self.inner.weight.weight, self.outer.weight.weight)
        return sum(weight.rows * weight.columns for weight in both)

    @property
    def collapsed(self) -> CollapsedTaps:
        """The weight of one convolution that does the work of both."""
        outer, inner = self.outer.weight.weight, self.inner.weight.weight
        return CollapsedTaps(f"{self.scope}.weight", outer, inner)


def filters(convolutions: Sequence[CausalConvolution]) -> list[Filter]:
    """Pairs of convolutions with nothing but the mask of padding between them."""
    found = []
    by_output = {id(one.output): one for one in convolutions}
    for outer in convolutions:
        masking = outer.tokens.producer()
        if masking is None or masking.op_type != "Mul":
            continue
        first, kept = masking.inputs
        inner = by_output.get(id(first))
        if inner is not None and kept is not None and len(inner.output.consumers()) == 1:
            found.append(Filter(inner, outer, kept))
    return found


def fuse(graph: ir.Graph, one: CausalConvolution) -> None:
    """``y = [x[t-K+1]; …; x[t]] Wᵀ + b``, with the weight under the name that it has."""
    to, weight = Insertion(graph, one.node), one.node.inputs[1]
    assert weight is not None
    matrix = Taps(one.weight.weight)
    weight.const_value, weight.shape = Parameter(matrix), ir.Shape(matrix.shape)
    product = _product(to, one.window, one.tokens, weight, one.scope)
    biased = to.op("Add", product, one.bias, name=f"{one.scope}.Add", shape=_axes(product))
    one.output.replace_all_uses_with(biased)


def collapse(graph: ir.Graph, both: Filter) -> None:
    """``y = [x[t-2]; x[t-1]; x[t]] Cᵀ + (B₁ a + b) + n[t-1] B₀ a``.

    B and b are the outer convolution's weight by taps and its bias, a is the inner's bias. ``n``
    is 1 where there is a token: where there is none, the inner convolution gives zero, not its
    bias.
    """
    inner, outer, scope = both.inner, both.outer, both.scope
    to, newest = Insertion(graph, outer.node), outer.kernel - 1
    window = _padded(to, inner.tokens, inner.kernel + newest - 1, f"{scope}.Pad")
    total = _product(to, window, inner.tokens, to.parameter(both.collapsed), scope)
    weight, carried = outer.weight.weight, _weight(inner.bias)
    bias = CarriedBias(f"{scope}.bias", weight, carried, (newest,), _weight(outer.bias))
    axes = _axes(total)
    total = to.op("Add", total, to.parameter(bias), name=f"{scope}.bias.Add", shape=axes)
    for tap in range(newest):
        there = _kept_before(to, graph, both.kept, newest, tap)
        name = f"{scope}.tap_{tap}"
        part = to.parameter(CarriedBias(f"{name}.bias", weight, carried, (tap,)))
        part = to.op("Mul", there, part, name=f"{name}.Mul", shape=axes)
        total = to.op("Add", total, part, name=f"{name}.Add", shape=axes)
    outer.output.replace_all_uses_with(total)


def _product(
    to: Insertion, window: ir.Value, tokens: ir.Value, weight: ir.Value, scope: str
) -> ir.Value:
    """Each token beside its predecessors, oldest first, times the weight."""
    assert weight.shape is not None
    rows, columns = weight.shape.numpy()
    batch, sequence, features = _axes(tokens)
    assert isinstance(features, int)
    past = columns // features - 1
    earlier = [
        _slice(to, window, tap, past, (batch, sequence, features), f"{scope}.past_{past - tap}")
        for tap in range(past)
    ]
    beside = to.op(
        "Concat",
        *earlier,
        tokens,
        name=f"{scope}.neighbours",
        shape=(batch, sequence, columns),
        axis=2,
    )
    turned = to.op("Transpose", weight, name=f"{scope}.matrix", shape=(columns, rows), perm=(1, 0))
    return to.op("MatMul", beside, turned, name=f"{scope}.MatMul", shape=(batch, sequence, rows))


def _slice(
    to: Insertion,
    window: ir.Value,
    first: int,
    past: int,
    shape: Sequence[int | str | ir.SymbolicDim],
    name: str,
) -> ir.Value:
    """As many rows of a window as there are new tokens, from ``first`` of ``past`` earlier on."""
    bounds = (to.integers(f"at_{first}", first), to.integers(f"at_{first - past}", first - past))
    axis = to.integers("axis_1", 1)
    return to.op("Slice", window, *bounds, axis, name=name, shape=shape)


def _padded(to: Insertion, tokens: ir.Value, past: int, name: str) -> ir.Value:
    batch, _, features = _axes(tokens)
    before = to.integers(f"pads_{past}", 0, past, 0, 0, 0, 0)
    return to.op("Pad", tokens, before, name=name, shape=(batch, after(past), features))


def _kept_before(to: Insertion, graph: ir.Graph, kept: ir.Value, past: int, tap: int) -> ir.Value:
    """Whether there is a token ``past - tap`` places before each; once for all filters."""
    back = past - tap
    found = {value.name: value for node in graph for value in node.outputs}
    window = found.get(f"{QUERY_KEPT}.Pad") or _padded(to, kept, past, f"{QUERY_KEPT}.Pad")
    name = f"{QUERY_KEPT}.past_{back}"
    return found.get(name) or _slice(to, window, tap, past, _axes(kept), name)


def _axes(value: ir.Value) -> tuple[int | ir.SymbolicDim, ...]:
    assert value.shape is not None
    return tuple(value.shape)


def _weight(value: ir.Value) -> Weight:
    assert isinstance(value.const_value, Parameter)
    return value.const_value.weight
