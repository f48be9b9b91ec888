"""Masks and positions that depend on how a text is cut into runs are refused."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.errors import UnsupportedArchitectureError
from convert.graph import QUERY_SLOTS, attention_nodes, find_value
from convert.importing.raising.patterns import Rewriter
from convert.importing.told_values import require_told
from tests.support.models import small_model

BOOL, INT64 = ir.DataType.BOOL, ir.DataType.INT64


def with_masks(make):
    """A graph whose every mask is made otherwise, of the usual one."""
    model = small_model("llama").graph()
    to, nodes = Rewriter(model), attention_nodes(model)
    mask = make(to, nodes[0], nodes[0].inputs[3])
    for node in nodes:
        node.replace_input_with(3, mask)
    return model


def refusal(model):
    with pytest.raises(UnsupportedArchitectureError) as refused:
        require_told(model)
    return str(refused.value)


@pytest.mark.parametrize("family", ["llama", "mistral", "bloom"])
def test_hand_written_families(family):
    require_told(small_model(family).graph())


def by_slots(model, readers):
    """Let nodes read slots, ``[batch, sequence]``, in place of their first operand."""
    (told,) = (value for value in model.graph.inputs if value.name == "position_ids")
    to, first = Rewriter(model), readers[0]
    axis = to.constant(np.array([0]), "axis_of_rows")
    slots = find_value(model, QUERY_SLOTS)
    row = to.op(first, "Unsqueeze", (slots, axis), shape=(1, "sequence"), dtype=INT64)
    sizes = to.op(first, "Shape", (told,), shape=(2,), dtype=INT64)
    wide = to.op(first, "Expand", (row, sizes), shape=("batch", "sequence"), dtype=INT64)
    for node in readers:
        node.replace_input_with(0, wide)
    model.graph.sort()
    return model


def test_rotations_may_count_slots():
    """Padding turns queries and keys alike."""
    model = small_model("llama").graph()
    (told,) = (value for value in model.graph.inputs if value.name == "position_ids")
    require_told(by_slots(model, list(told.consumers())))


def test_slots_are_no_positions():
    model = small_model("llama").graph()
    product = next(node for node in model.graph if node.op_type == "RMSNormalization")
    to, shape = Rewriter(model), ("batch", "sequence", 1)
    (told,) = (value for value in model.graph.inputs if value.name == "position_ids")
    axis = to.constant(np.array([2]), "axis_of_features")
    column = to.op(product, "Unsqueeze", (told, axis), shape=shape, dtype=INT64)
    cast = to.op(product, "Cast", (column,), shape=shape, attributes={"to": 1})
    x = product.inputs[0]
    product.replace_input_with(0, to.op(product, "Mul", (x, cast), shape=x.shape))
    require_told(model)
    found = refusal(by_slots(model, [column.producer()]))
    assert "with padding on the left" in found
    assert "Cast" in found


def test_the_batch_may_be_any_axis():
    """Positions of height, width and time are the first axis of some models."""
    model = small_model("llama").graph()
    norm = next(node for node in model.graph if node.op_type == "RMSNormalization")
    (told,) = (value for value in model.graph.inputs if value.name == "position_ids")
    to, shape = Rewriter(model), ("batch", "sequence", 1)
    last = to.constant(np.array([2]), "axis_of_features")
    column = to.op(norm, "Unsqueeze", (told, last), shape=shape, dtype=INT64)
    cast = to.op(norm, "Cast", (column,), shape=shape, attributes={"to": 1})
    three = to.constant(np.ones((3, 1, 1, 1), np.float32), "three")
    wide = to.op(norm, "Mul", (cast, three), shape=(3, *shape))
    to.op(norm, "Mul", (norm.inputs[0], wide), shape=(3, "batch", "sequence", 48))
    require_told(model)
    assert "with padding" in refusal(by_slots(model, [column.producer()]))


def test_a_mask_that_looks_ahead():
    def everything(to, node, mask):
        return to.op(node, "Equal", (mask, mask), shape=mask.shape, dtype=BOOL)

    model = with_masks(everything)
    assert "looks ahead" in refusal(model)


def test_a_mask_that_forgets_the_padding():
    def behind(to, node, mask):
        value = find_value(ir.Model(to.graph, ir_version=10), "mask.full.behind")
        axes = to.constant(np.array([0, 1]), "axes_in_front")
        shape = (1, 1, "sequence", "total_sequence")
        return to.op(node, "Unsqueeze", (value, axes), shape=shape, dtype=BOOL)

    assert "with padding" in refusal(with_masks(behind))


def test_a_mask_of_another_shape():
    def square(to, node, mask):
        bounds = [to.constant(np.array([each]), f"bound_{each}") for each in (0, 3)]
        sizes = to.op(
            node,
            "Shape",
            (node.inputs[0],),
            shape=(1,),
            dtype=INT64,
            attributes={"start": 2, "end": 3},
        )
        shape = ("batch", 1, "sequence", "sequence")
        return to.op(node, "Slice", (mask, bounds[0], sizes, bounds[1]), shape=shape, dtype=BOOL)

    found = refusal(with_masks(square))
    assert "not one of queries and keys" in found
    assert "[2, 1, 3, 3]" in found
