"""Linear biases are recognized in the masks that architectures build, and only there."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from openvino import opset13 as ops

from convert.graph import attention_nodes
from targets.openvino.alibi import biased_mask
from targets.openvino.context import Context
from tests.support.models import small_model
from tests.targets.openvino.evaluate import evaluate

SLOPES = np.array([0.5, 0.25], np.float32).reshape(2, 1, 1)
DISTANCES = np.arange(-3, 3, dtype=np.float32).reshape(2, 3)
ALLOWED = np.array([[[[True, True, False], [True, True, True]]]])
FORBIDDEN = np.array(-1e30, np.float32)


def op(kind, *inputs):
    return ir.Node("", kind, inputs, num_outputs=1, name=kind).outputs[0]


def masked(context, *factors):
    """``Where(allowed, product of the factors, forbidden)``, its operands lowered."""
    arrays = {"allowed": ALLOWED, "forbidden": FORBIDDEN, "slopes": SLOPES, "distance": DISTANCES}
    values = {name: ir.Value(name=name) for name in arrays}
    for name, array in arrays.items():
        context.bind(values[name], ops.constant(array), name)
    values["slopes"].const_value = ir.tensor(SLOPES)
    product = op("Mul", *(values[name] for name in factors))
    mask = op("Where", values["allowed"], product, values["forbidden"])
    mask.name = "mask"
    context.bind(mask, ops.constant(FORBIDDEN), "mask")
    return mask


@pytest.mark.parametrize("factors", [("slopes", "distance"), ("distance", "slopes")])
def test_the_scores_are_the_same_and_the_slopes_come_first(factors):
    context = Context()
    found = biased_mask(context, masked(context, *factors))
    expected = np.where(ALLOWED, SLOPES * DISTANCES, FORBIDDEN)
    np.testing.assert_array_equal(evaluate(found), expected)
    product = found.input_value(2).get_node()
    while product.get_type_name() == "Reshape":
        product = product.input_value(0).get_node()
    assert product.input_value(0).get_node() == context.node(ir.Value(name="slopes"))


def test_all_layers_share_one():
    context = Context()
    mask = masked(context, "slopes", "distance")
    assert biased_mask(context, mask) is biased_mask(context, mask)


def test_a_product_without_slopes_is_none():
    context = Context()
    assert biased_mask(context, masked(context, "distance", "distance")) is None


@pytest.mark.parametrize("model_type", ["llama", "mistral"])
def test_masks_without_biases_are_none(model_type):
    mask = attention_nodes(small_model(model_type).graph())[0].inputs[3]
    assert biased_mask(Context(), mask) is None
