"""y = Σᵣ Eᵣ[id - firstᵣ] · (firstᵣ ≤ id < lastᵣ): an embedding cut by the vocabulary."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.graph import initializer
from convert.weight_views import Range
from passes.sharding.parts import integers

_BOOL, _FLOAT, _INT64 = (
    ir.TensorType(kind) for kind in (ir.DataType.BOOL, ir.DataType.FLOAT, ir.DataType.INT64)
)


def look_up_own_rows(graph: ir.Graph, gather: ir.Node, own: Range) -> ir.Value:
    """Let a Gather look up rows of a table that holds rows ``own`` of the whole one.

    Returns:
        The rows, and zeros for ids that are not of this table: summed over all ranks, what the
        Gather gave.
    """
    ids, rows = gather.inputs[1], gather.outputs[0]
    assert ids is not None and ids.shape is not None and rows.shape is not None
    by_id, scope = ids.shape, str(gather.name)

    def op(kind: str, name: str, shape: ir.Shape, of: ir.TensorType, *inputs: ir.Value) -> ir.Value:
        y = ir.Value(name=f"{scope}.{name}", type=of, shape=shape.copy())
        nodes.append(ir.Node("", kind, inputs, outputs=(y,), name=y.name))
        return y

    nodes: list[ir.Node] = []
    first, last = (integers(graph, f"own_{bound}", [bound]) for bound in own)
    above = op("GreaterOrEqual", "above", by_id, _BOOL, ids, first)
    below = op("Less", "below", by_id, _BOOL, ids, last)
    inside = op("And", "inside", by_id, _BOOL, above, below)
    shifted = op("Sub", "shifted", by_id, _INT64, ids, first)
    index = op("Where", "index", by_id, _INT64, inside, shifted, integers(graph, "own_0", [0]))
    graph.insert_before(gather, nodes)
    gather.replace_input_with(1, index)

    nodes.clear()
    axis = integers(graph, f"own_{len(by_id)}", [len(by_id)])
    column = op("Unsqueeze", "column", ir.Shape((*by_id, 1)), _BOOL, inside, axis)
    # A number, not a vector of one, which would make float32 of rows that have fewer bits.
    zero = initializer("own_nothing", ir.tensor(np.zeros((), np.float32), name="own_nothing"))
    if zero.name not in graph.initializers:
        graph.register_initializer(zero)
    nothing = graph.initializers["own_nothing"]
    masked = op("Where", "own", rows.shape, _FLOAT, column, rows, nothing)
    graph.insert_after(gather, nodes)
    for use in list(rows.uses()):
        if use.node not in nodes:
            use.node.replace_input_with(use.idx, masked)
    return masked
