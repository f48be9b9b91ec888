"""Positions that a model counts by itself become those it is told."""

import onnx_ir as ir
import pytest

from convert.importing.architecture import Imported
from convert.importing.graphs import operators
from convert.importing.raising.lengths import PAST, length_of
from convert.importing.raising.positions import RaisePositions
from tests.support.imported import largest_differences, raw_config

INTEGER = ir.TensorType(ir.DataType.INT64)
DECODER = {
    "decoder_layers": 2,
    "decoder_attention_heads": 6,
    "decoder_ffn_dim": 72,
    "d_model": 48,
    **dict.fromkeys(
        ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"), ...
    ),
    **dict.fromkeys(("num_key_value_heads", "head_dim"), ...),
}


def value(name, *shape, dtype=INTEGER):
    return ir.Value(name=name, type=dtype, shape=ir.Shape(shape))


def graph_of(read):
    """Slots of the new tokens, computed from lengths, and what reads them."""
    nodes = []

    def op(kind, *inputs, shape, dtype=INTEGER, **attributes):
        packed = [ir.convenience.convert_attribute(key, item) for key, item in attributes.items()]
        made = value(f"{kind}_{len(nodes)}", *shape, dtype=dtype)
        nodes.append(ir.Node("", kind, inputs, packed, outputs=[made], name=made.name))
        return made

    def constant(number, *shape):
        import numpy as np

        tensor = ir.tensor(np.full(shape, number, np.int64))
        made = value(f"number_{len(nodes)}", *shape)
        nodes.append(ir.Node("", "Constant", (), [ir.AttrTensor("value", tensor)], outputs=[made]))
        made.const_value = tensor
        return made

    inputs = [
        value("input_ids", "batch", "sequence"),
        value("attention_mask", "batch", "total_sequence"),
        value("position_ids", "batch", "sequence"),
    ]
    total = op("Shape", inputs[1], shape=(1,), start=1, end=2)
    tokens = op("Shape", inputs[0], shape=(1,), start=1, end=2)
    past = op("Sub", total, tokens, shape=(1,))
    assert length_of(past) == PAST
    ends = [op("Squeeze", each, constant(0, 1), shape=()) for each in (past, total)]
    slots = op("Range", *ends, constant(1), shape=("sequence",))
    result = read(op, constant, slots, inputs[0])
    graph = ir.Graph(inputs, [result], nodes=nodes, opset_imports={"": 24}, name="some")
    return ir.Model(graph, ir_version=11)


def raised(read):
    model = graph_of(read)
    changed = RaisePositions()(model)
    return changed, [node.op_type for node in model.graph if node.op_type != "Constant"]


def test_slots_become_positions():
    def read(op, constant, slots, ids):
        row = op("Unsqueeze", slots, constant(0, 1), shape=(1, "sequence"))
        moved = op("Add", row, constant(2), shape=(1, "sequence"))
        return op("Add", ids, moved, shape=("batch", "sequence"))

    assert raised(read) == (True, ["Add", "Add"])


def test_slots_that_are_broadcast_first():
    def read(op, constant, slots, ids):
        sizes = op("Shape", ids, shape=(2,))
        wide = op("Expand", slots, sizes, shape=("batch", "sequence"))
        return op("Mul", ids, wide, shape=("batch", "sequence"))

    assert raised(read) == (True, ["Mul"])


def test_what_cannot_have_a_batch_stays():
    def read(op, constant, slots, ids):
        total = op("ReduceSum", slots, constant(0, 1), shape=(1,))
        return op("Add", ids, total, shape=("batch", "sequence"))

    changed, kinds = raised(read)
    assert not changed and "Range" in kinds


def test_lengths():
    assert length_of(None) is None
    assert length_of(value("x", "batch")) is None


@pytest.mark.slow
@pytest.mark.parametrize("family", ["bart", "pegasus", "trocr"])
def test_decoders_that_count_by_themselves(family):
    raw = raw_config(family, **DECODER)
    found = largest_differences(raw)
    assert max(found.values()) < 1e-5, found
    kinds = operators(Imported(raw, raw["architectures"][0])._graph())
    assert kinds["Range"] == 2  # of queries and of keys, for the mask


def test_slots_that_masks_compare_stay_beside_positions():
    """What is scaled by its position is told it; what subtracts slots from lengths is not."""

    def read(op, constant, slots, ids):
        shape, column = constant(1, 3), op("Cast", slots, shape=("sequence",), to=7)
        wide = op("Reshape", column, shape, shape=(1, "sequence", 1))
        scaled = op("Mul", ids, wide, shape=("batch", "sequence", "sequence"))
        padding = op("ReduceSum", constant(1, 2), shape=("batch", 1))
        apart = op("Sub", slots, padding, shape=("batch", "sequence"))
        return op("Add", scaled, apart, shape=("batch", "sequence", "sequence"))

    changed, kinds = raised(read)
    assert changed
    assert kinds.count("Range") == 1 and kinds.count("Reshape") == 1
