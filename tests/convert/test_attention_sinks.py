"""Attention with a sink, said with Attention's own scores."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.attention_sinks import SCORES_WITH_MASK, sink_of
from tests.support.ort import OrtGraph

BATCH, HEADS, LENGTH, SIZE = 2, 4, 5, 8


def graph(mode=SCORES_WITH_MASK):
    shapes = dict.fromkeys("qkv", (BATCH, HEADS, LENGTH, SIZE))
    shapes |= {"sink": (1, HEADS, 1, 1)}
    inputs = [
        ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(shape))
        for name, shape in shapes.items()
    ]
    kind = ir.TensorType(ir.DataType.BOOL)
    mask = ir.Value(name="mask", type=kind, shape=ir.Shape((LENGTH, LENGTH)))
    outputs = [ir.Value(name=name) for name in ("mixed", "", "", "scores")]
    given = {"scale": 0.3, "qk_matmul_output_mode": mode}
    attributes = [ir.convenience.convert_attribute(key, item) for key, item in given.items()]
    nodes = [ir.Node("", "Attention", [*inputs[:3], mask], attributes, outputs=outputs)]
    axes = ir.Value(name="axes", const_value=ir.tensor(np.array([-1]), name="axes"))

    def add(kind, *values):
        nodes.append(ir.Node("", kind, values, num_outputs=1))
        return nodes[-1].outputs[0]

    share = add("Sigmoid", add("Sub", add("ReduceLogSumExp", outputs[3], axes), inputs[3]))
    y = add("Mul", outputs[0], share)
    y.name = "y"
    made = ir.Graph(
        [*inputs, mask], [y], nodes=nodes, initializers=[axes], opset_imports={"": 24}, name="some"
    )
    return ir.Model(made, ir_version=11)


def test_the_sink_takes_its_part_of_the_softmax():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(3, BATCH, HEADS, LENGTH, SIZE)).astype(np.float32)
    sink = rng.normal(size=(1, HEADS, 1, 1)).astype(np.float32)
    mask = np.tril(np.ones((LENGTH, LENGTH), bool))
    scores = np.where(mask, 0.3 * q @ k.swapaxes(2, 3), -np.inf)
    with_sink = np.concatenate([scores, np.broadcast_to(sink, (*scores.shape[:3], 1))], -1)
    chances = np.exp(with_sink - with_sink.max(-1, keepdims=True))
    chances /= chances.sum(-1, keepdims=True)
    found = OrtGraph(graph())(q=q, k=k, v=v, sink=sink, mask=mask)["y"]
    np.testing.assert_allclose(found, chances[..., :-1] @ v, rtol=1e-5, atol=1e-6)


def test_a_sink_is_found_with_all_that_says_so():
    model = graph()
    attention = model.graph[0]
    found = sink_of(attention)
    assert found is not None and found.scores.name == "sink" and found.result.name == "y"
    kinds = [node.op_type for node in found.steps]
    assert kinds == ["ReduceLogSumExp", "Sub", "Sigmoid", "Mul"]


@pytest.mark.parametrize("change", ["mode", "another reader", "no scores"])
def test_other_uses_of_scores_are_no_sink(change):
    model = graph(mode=0 if change == "mode" else SCORES_WITH_MASK)
    attention = model.graph[0]
    if change == "another reader":
        model.graph.append(ir.Node("", "Neg", [attention.outputs[0]], num_outputs=1))
    if change == "no scores":
        attention.outputs[3].replace_all_uses_with(attention.outputs[0])
        attention.resize_outputs(1)
    assert sink_of(attention) is None
