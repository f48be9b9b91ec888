"""Causal masks written out as the hand-written graphs have them."""

from __future__ import annotations

import onnx_ir as ir

from convert.architectures.builder import GraphBuilder
from convert.architectures.masks import mask, slots
from convert.graph import (
    ATTENTION_MASK,
    BATCH,
    INPUT_IDS,
    SEQUENCE,
    TOTAL_SEQUENCE,
    initializer,
    remove_dead_nodes,
)
from convert.importing.aten.attention import DOMAIN, MASK


def write_masks(model: ir.Model) -> None:
    """Replace every mask of the trace by the one of its window; one for all layers."""
    graph = model.graph
    nodes = [node for node in graph if (node.domain, node.op_type) == (DOMAIN, MASK)]
    if not nodes:
        return
    windows = {node: node.attributes["window"].as_int() or None for node in nodes}
    made, written = _written(list(dict.fromkeys(windows.values())))
    for value in (*made.inputs,):
        own = next(each for each in graph.inputs if each.name == value.name)
        value.replace_all_uses_with(own)
    for name, value in list(made.initializers.items()):
        if name in graph.initializers:
            value.replace_all_uses_with(graph.initializers[name])
        else:
            tensor = value.const_value
            assert tensor is not None
            own = initializer(name, tensor)
            value.replace_all_uses_with(own)
            graph.register_initializer(own)
    moved = list(made)
    for value in list(made.outputs):
        made.outputs.remove(value)
    made.remove(moved)
    graph.insert_before(graph[0], moved)
    for node, window in windows.items():
        node.outputs[0].replace_all_uses_with(written[window])
        graph.remove(node, safe=True)
    if all(node.domain != DOMAIN for node in graph):
        del graph.opset_imports[DOMAIN]
    remove_dead_nodes(model)


def _written(windows: list[int | None]) -> tuple[ir.Graph, dict[int | None, ir.Value]]:
    b, integers = GraphBuilder({}), ir.DataType.INT64
    input_ids = b.input(INPUT_IDS, integers, (BATCH, SEQUENCE))
    attention_mask = b.input(ATTENTION_MASK, integers, (BATCH, TOTAL_SEQUENCE))
    at = slots(b, input_ids, attention_mask)
    written = {window: mask(b, at, window) for window in windows}
    graph = b.model(list(written.values()), "masks").graph
    return graph, written
