"""The linear layers of a graph, and from which of them a value is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from convert.graph import expert_splits
from convert.parameter import Parameter
from targets.gguf.imported.evaluating import NotComputableError


@dataclass(frozen=True)
class Linear:
    """``x · W^T + b``.

    Args:
        name: Of the weight.
        bias: Name of the bias; None if there is none.
        x: What it reads.
        y: What it gives, with the bias.
        rows: Of the weight.
        experts: Names of the weights, where each expert has one for its own rows of ``x``; the
            first is ``name``.
        router: What the numbers of these rows are computed from.
        expert_biases: Names of their biases; none if they have none.
    """

    name: str
    bias: str | None
    x: ir.Value
    y: ir.Value
    rows: int
    experts: tuple[str, ...] = ()
    router: ir.Value | None = None
    expert_biases: tuple[str, ...] = ()


def linears(model: ir.Model) -> tuple[Linear, ...]:
    """All of them, in order. A weight that is used twice is there twice; experts are one."""
    return tuple(_linears(model))


def _linears(model: ir.Model) -> Iterator[Linear]:
    shared = set(expert_splits(model))
    for node in model.graph:
        weight = _weight(node)
        x = node.inputs[0] if node.inputs else None
        if weight is None or x is None or weight.shape is None:
            continue
        y, bias = _with_bias(node.outputs[0])
        split = x.producer()
        if split is not None and split in shared:
            if split.outputs[0] is x:
                yield _of_experts(split, y, weight)
            continue
        yield Linear(str(weight.name), bias, x, y, weight.shape.numpy()[0])


def _of_experts(split: ir.Node, y: ir.Value, weight: ir.Value) -> Linear:
    """The layer that all experts are together; ``y`` is what the first gives."""
    names, biases = list[str](), list[str]()
    for product in (reader for share in split.outputs for reader in share.consumers()):
        found = _weight(product)
        names += [str(found.name)] if found is not None else []
        bias = _with_bias(product.outputs[0])[1]
        biases += [bias] if bias is not None else []
    ends = [reader for reader in y.consumers() if reader.op_type == "Concat"]
    x, router = split.inputs
    known = len(names) == len(split.outputs) and len(biases) in (0, len(names))
    if len(ends) != 1 or not known or x is None or weight.shape is None:
        raise NotComputableError(f"{split.name} of experts that do not end together")
    rows = weight.shape.numpy()[0]
    y = ends[0].outputs[0]
    return Linear(names[0], None, x, y, rows, tuple(names), router, tuple(biases))


def _weight(node: ir.Node) -> ir.Value | None:
    if node.op_type != "MatMul":
        return None
    second = node.inputs[1]
    turned = second.producer() if second is not None else None
    held = turned.inputs[0] if turned is not None and turned.op_type == "Transpose" else None
    return held if is_weight(held) else None


def is_weight(value: ir.Value | None) -> bool:
    """Whether a value is a parameter of the checkpoint."""
    return value is not None and isinstance(value.const_value, Parameter)


def _with_bias(product: ir.Value) -> tuple[ir.Value, str | None]:
    readers = product.consumers()
    if len(readers) == 1 and readers[0].op_type == "Add":
        for value in readers[0].inputs:
            if value is not None and is_weight(value) and len(value.shape or ()) == 1:
                return readers[0].outputs[0], str(value.name)
    return product, None


def sources(
    value: ir.Value,
    by_output: Mapping[ir.Value, Linear],
    *,
    stops: Callable[[ir.Node], bool] = lambda node: False,
) -> dict[str, Linear]:
    """The linear layers that a value is computed from, by the names of their weights.

    Args:
        value: What is computed.
        by_output: The layers by what they give.
        stops: Nodes beyond which nothing is looked at.
    """
    found: dict[str, Linear] = {}
    waiting, seen = [value], {value}
    while waiting:
        each = waiting.pop()
        linear, node = by_output.get(each), each.producer()
        if linear is not None:
            found[linear.name] = linear
        elif node is not None and not stops(node):
            new = [one for one in node.inputs if one is not None and one not in seen]
            seen.update(new)
            waiting += new
    return found
