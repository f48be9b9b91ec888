"""New nodes stand in front of the given one, in the order in which they were added."""

from __future__ import annotations

import numpy as np

from convert.graph import parameters
from convert.weights import ArrayWeight
from passes.insertion import Insertion
from tests.support.models import small_model
from tests.support.ort import OrtGraph


def test_nodes_are_in_order_in_front_of_the_one_named():
    graph = small_model("llama").graph().graph
    before = graph[7]
    to = Insertion(graph, before)
    ids = graph.inputs[0]
    first = to.op("Identity", ids, name="first", shape=ids.shape)
    second = to.op("Unsqueeze", first, to.integers("axis_2", 2), name="second", shape=("b", 1, 1))
    names = [node.name for node in graph]
    assert names[names.index(before.name) - 2 : names.index(before.name)] == ["first", "second"]
    assert (second.name, str(second.shape), second.producer().name) == (
        "second",
        "[b,1,1]",
        "second",
    )


def test_constants_of_one_name_are_one():
    graph = small_model("llama").graph()
    to = Insertion(graph.graph, graph.graph[0])
    assert to.integers("some", 1, 2) is to.integers("some", 1, 2)
    assert graph.graph.initializers["some"].const_value.numpy().tolist() == [1, 2]


def test_a_parameter_is_one_of_the_graph():
    model = small_model("llama")
    graph = model.graph()
    to = Insertion(graph.graph, graph.graph[-1])
    weight = ArrayWeight("new", np.full(48, 2, np.float32))
    norm = next(node for node in graph.graph if node.name == "model.norm.RMSNormalization")
    norm.replace_input_with(1, to.parameter(weight))
    assert parameters(graph)["new"].weight is weight
    ids = np.array([[1, 2]])
    feed = {"attention_mask": np.ones_like(ids), "position_ids": np.array([[0, 1]])}
    assert OrtGraph(graph)(input_ids=ids, **feed)["logits"].shape == (1, 2, 101)
