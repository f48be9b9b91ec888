"""What follows from constants is made on each rank's part alone."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.architectures.builder import GraphBuilder
from convert.graph import remove_dead_nodes
from convert.weights import ArrayWeight
from passes.sharding.own_constants import OwnConstants, follows_from_constants
from passes.sharding.parts import Part
from tests.support.ort import OrtGraph

PART = Part(0, (((0, 1), (3, 5)), ((1, 3),)), 5)
"""Of five indices rank 0 has 0, 3 and 4."""

SCALES = np.arange(5, dtype=np.float32).reshape(5, 1)


def graph():
    """y = where(x > 0, scales · x, 7), ``[5, T]``, made of ``[5, 1]`` and x ``[T]``."""
    b = GraphBuilder({"w": ArrayWeight("w", SCALES)})
    x = b.input("x", ir.DataType.FLOAT, ("T",))
    scaled = b.op("Mul", b.constant("scales", SCALES), x, name="scaled", shape=(5, "T"))
    zero, seven = (b.constant(str(n), np.array(n, np.float32)) for n in (0, 7))
    positive = b.op("Greater", x, zero, name="positive", shape=("T",), dtype=ir.DataType.BOOL)
    y = b.op("Where", positive, scaled, seven, name="y", shape=(5, "T"))
    learned = b.op("Mul", b.parameter("w"), x, name="learned", shape=(5, "T"))
    spread = b.op("Softmax", y, name="spread", axis=1)
    return b.model([y, learned, spread], "test")


def value(model, name):
    return next(value for node in model.graph for value in node.outputs if value.name == name)


def test_each_rank_computes_its_own_part_and_nothing_of_the_others():
    x = np.array([1.0, -2.0, 3.0], np.float32)
    whole = OrtGraph(graph())(x=x)["y"]
    for rank, rows in enumerate(([0, 3, 4], [1, 2])):
        model = graph()
        own = OwnConstants(model.graph, rank).part_of(value(model, "y"), PART)
        model.graph.outputs[:] = [own]
        remove_dead_nodes(model)
        assert own.shape == ir.Shape((len(rows), "T"))
        np.testing.assert_array_equal(OrtGraph(model)(x=x)[own.name], whole[rows])
        assert [node.op_type for node in model.graph] == ["Mul", "Greater", "Where"]
        assert {tuple(item.shape) for item in model.graph.initializers.values()} >= {(len(rows), 1)}


def test_a_part_is_made_once():
    model = graph()
    own = OwnConstants(model.graph, 1)
    first, count = own.part_of(value(model, "y"), PART), len(model.graph)
    assert own.part_of(value(model, "y"), PART) is first
    assert len(model.graph) == count


def test_weights_inputs_and_what_mixes_are_no_constants():
    model = graph()
    assert follows_from_constants(value(model, "y"), 0, 5)
    assert not follows_from_constants(value(model, "learned"), 0, 5)
    assert not follows_from_constants(value(model, "spread"), 0, 5)
    assert not follows_from_constants(model.graph.inputs[0], 0, 5)
