"""All ranks of a model in one graph: the collectives become ordinary operators over the ranks."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from passes.sharding.collectives import ALL_REDUCE, DOMAIN


def merged(ranks: Sequence[ir.Model], *, shared: Sequence[str] = ()) -> ir.Model:
    """One graph that computes all ranks side by side.

    Args:
        ranks: In order.
        shared: Inputs that are of each rank's own; all others are fed to every rank.

    Returns:
        The graph; what was ``name`` in rank r is ``r/name``, apart from the common inputs.
    """
    protos = [
        _renamed(ir.to_proto(model).graph, f"{r}/", set(shared)) for r, model in enumerate(ranks)
    ]
    whole = onnx.GraphProto(name="ranks")
    for proto in protos:
        known = {value.name for value in whole.input}
        whole.input.extend(value for value in proto.input if value.name not in known)
        whole.output.extend(proto.output)
        whole.initializer.extend(proto.initializer)
        whole.node.extend(node for node in proto.node if node.domain != DOMAIN)
    collectives = [[node for node in proto.node if node.domain == DOMAIN] for proto in protos]
    for nodes in zip(*collectives, strict=True):
        whole.node.extend(_as_one(nodes))
    sample = ir.to_proto(ranks[0])
    opsets = [opset for opset in sample.opset_import if opset.domain != DOMAIN]
    model = onnx.helper.make_model(whole, opset_imports=opsets, ir_version=sample.ir_version)
    loaded = ir.from_proto(model)
    loaded.graph.sort()
    return loaded


def _renamed(graph: onnx.GraphProto, prefix: str, own: set[str]) -> onnx.GraphProto:
    common = {value.name for value in graph.input} - own

    def name(old: str) -> str:
        return old if not old or old in common else prefix + old

    for node in graph.node:
        node.name = prefix + node.name
        node.input[:] = [name(old) for old in node.input]
        node.output[:] = [name(old) for old in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = name(value.name)
    del graph.value_info[:]
    return graph


def _as_one(nodes: Sequence[onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The same collective of every rank, computed once and handed to all."""
    kinds = {(node.op_type, node.name.partition("/")[2]) for node in nodes}
    assert len(kinds) == 1, f"the ranks do not meet at the same point: {kinds}"
    inputs, outputs = [node.input[0] for node in nodes], [node.output[0] for node in nodes]
    if nodes[0].op_type == ALL_REDUCE:
        first = onnx.helper.make_node("Sum", inputs, [outputs[0]], name=nodes[0].name)
    else:
        axis = next(item.i for item in nodes[0].attribute if item.name == "axis")
        first = onnx.helper.make_node("Concat", inputs, [outputs[0]], name=nodes[0].name, axis=axis)
    copies = [
        onnx.helper.make_node("Identity", [outputs[0]], [output], name=node.name)
        for node, output in zip(nodes[1:], outputs[1:], strict=True)
    ]
    return [first, *copies]
