"""Where a graph multiplies shares of a tensor's rows with matrices of their own, one each.

Split(x, sizes) -> MatMul(share, Wᵀ) [-> Add(bias)], for each share -> Concat
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.graph import expert_splits
from convert.parameter import Parameter


@dataclass(frozen=True)
class ExpertGroup:
    """One matrix of each expert of a layer, all of one shape.

    Args:
        x: Rows in the order of experts.
        sizes: How many rows each expert has, i64 ``[E]``.
        weights: The matrices ``[out, in]``.
        biases: What each adds, ``[out]``; empty if none does.
        steps: The nodes that say so.
        result: All products, in the order of ``x``.
    """

    x: ir.Value
    sizes: ir.Value
    weights: tuple[ir.Value, ...]
    biases: tuple[ir.Value, ...]
    steps: tuple[ir.Node, ...]
    result: ir.Value


def expert_groups(model: ir.Model) -> list[ExpertGroup]:
    """Those of a graph, in order."""
    found = (_group(node) for node in expert_splits(model))
    return [group for group in found if group is not None]


def _group(split: ir.Node) -> ExpertGroup | None:
    if split.attributes.get_int("axis", 0) != 0:
        return None
    chains = [_chain(share) for share in split.outputs]
    linear = [chain for chain in chains if chain is not None]
    if len(linear) != len(chains):
        return None
    weights = tuple(weight for weight, _, _ in linear)
    biases = tuple(bias for _, bias, _ in linear if bias is not None)
    ends = [steps[-1].outputs[0] for _, _, steps in linear]
    readers = {node for end in ends for node in end.consumers()}
    if len(readers) != 1 or len(biases) not in (0, len(weights)):
        return None
    (joined,), (x, sizes) = readers, split.inputs
    if joined.op_type != "Concat" or list(joined.inputs) != ends or x is None or sizes is None:
        return None
    if joined.attributes.get_int("axis", -1) != 0 or len({_shape(each) for each in weights}) != 1:
        return None
    steps = (split, *(step for _, _, each in linear for step in each), joined)
    return ExpertGroup(x, sizes, weights, biases, steps, joined.outputs[0])


def _chain(share: ir.Value) -> tuple[ir.Value, ir.Value | None, list[ir.Node]] | None:
    """Matrix and bias that a share is multiplied with and added to, and the nodes that do it."""
    product = _only_reader(share)
    if product is None or product.op_type != "MatMul" or product.inputs[0] is not share:
        return None
    turned = product.inputs[1].producer() if product.inputs[1] is not None else None
    weight = turned.inputs[0] if turned is not None and turned.op_type == "Transpose" else None
    if turned is None or weight is None or not isinstance(weight.const_value, Parameter):
        return None
    if len(weight.consumers()) != 1:
        return None
    total = _only_reader(product.outputs[0])
    if total is None or total.op_type != "Add":
        return weight, None, [turned, product]
    bias = next(value for value in total.inputs if value is not product.outputs[0])
    if bias is None or not isinstance(bias.const_value, Parameter) or len(bias.consumers()) != 1:
        return None
    return weight, bias, [turned, product, total]


def _only_reader(value: ir.Value) -> ir.Node | None:
    readers = value.consumers()
    return readers[0] if len(readers) == 1 and not value.is_graph_output() else None


def _shape(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape.numpy())


def common_pattern(names: Sequence[str]) -> str | None:
    """The names with braces in place of a number that counts them; None if none does.

    >>> common_pattern(["experts.0.up.weight", "experts.1.up.weight"])
    'experts.{}.up.weight'
    """
    parts = [name.split(".") for name in names]
    places = [
        place
        for place, each in enumerate(zip(*parts, strict=False))
        if list(each) == [str(number) for number in range(len(names))]
    ]
    for place in places:
        first = [*parts[0]]
        first[place] = "{}"
        pattern = ".".join(first)
        if [pattern.format(number) for number in range(len(names))] == list(names):
            return pattern
    return None
