"""Roles of parameters, and finding one's way in a graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from convert.graph import (
    QUERY_SLOTS,
    Role,
    attention_nodes,
    find_value,
    initializer,
    parameters,
    remove_dead_nodes,
    roles,
)
from tests.support.models import small_model


@pytest.fixture(scope="module")
def untied():
    return small_model("qwen3", head_dim=12, attention_bias=True)


def test_every_parameter_has_its_role(untied):
    found = roles(untied.graph())
    assert set(found) == set(untied.weights)
    assert found["model.embed_tokens.weight"] is Role.EMBEDDING
    assert found["lm_head.weight"] is Role.HEAD
    for name, role in found.items():
        if name.startswith("model.layers"):
            linear = name.endswith("_proj.weight")
            assert role is (Role.LINEAR if linear else Role.OTHER), name
    assert sum(role is Role.LINEAR for role in found.values()) == 2 * 7
    assert found["model.norm.weight"] is Role.OTHER


def test_a_tied_embedding_is_an_embedding():
    found = roles(small_model("llama", tie_word_embeddings=True).graph())
    assert found["model.embed_tokens.weight"] is Role.EMBEDDING
    assert Role.HEAD not in found.values()


def test_a_number_of_each_row_is_no_embedding(untied):
    model = untied.graph()
    norm, ids = model.graph.initializers["model.norm.weight"], model.graph.inputs[0]
    model.graph.append(ir.Node("", "Gather", [norm, ids], name="factors"))
    assert roles(model)["model.norm.weight"] is Role.OTHER


def test_parameters_leave_out_constants(untied):
    model = untied.graph()
    assert set(parameters(model)) == set(untied.weights)
    assert set(model.graph.initializers) > set(untied.weights)


def test_attention_nodes_come_in_order_of_the_layers(untied):
    assert [node.name for node in attention_nodes(untied.graph())] == [
        "model.layers.0.self_attn.Attention",
        "model.layers.1.self_attn.Attention",
    ]


def test_values_are_found_by_name(untied):
    model = untied.graph()
    assert find_value(model, QUERY_SLOTS).producer().op_type == "Range"
    assert find_value(model, "no such value") is None


def test_dead_nodes_go_with_their_constants_but_parameters_stay(untied):
    model = untied.graph()
    before = {node.name for node in model.graph}
    remove_dead_nodes(model)
    assert {node.name for node in model.graph} == before
    query = find_value(model, QUERY_SLOTS)
    fixed = initializer("fixed", ir.tensor(np.arange(3, dtype=np.int64), name="fixed"))
    assert (tuple(fixed.shape), fixed.dtype) == ((3,), ir.DataType.INT64)
    model.graph.register_initializer(fixed)
    query.replace_all_uses_with(fixed)
    remove_dead_nodes(model)
    gone = before - {node.name for node in model.graph}
    assert gone == {QUERY_SLOTS, "first_query_slot", "input_ids.Shape", "input_ids.length"}
    assert set(parameters(model)) == set(untied.weights)
    assert all(value.uses() for value in model.graph.initializers.values())


def test_names_are_unique_and_say_the_module(untied):
    model = untied.graph()
    nodes = [node.name for node in model.graph]
    values = [value.name for node in model.graph for value in node.outputs]
    assert len(set(nodes)) == len(nodes)
    assert len({*values, *model.graph.initializers}) == len(values) + len(model.graph.initializers)
    assert "model.layers.0.self_attn.q_proj.MatMul" in nodes
    assert "model.layers.1.mlp.down_proj.Transpose" in nodes
    assert [node.name for node in untied.graph().graph] == nodes


def test_a_head_whose_logits_are_scaled_is_a_head() -> None:
    model = small_model("llama", num_hidden_layers=1).graph()
    (logits,) = model.graph.outputs
    logits.name = "product"
    half = initializer("half", ir.tensor(np.float32(0.5)))
    model.graph.register_initializer(half)
    node = ir.Node("", "Mul", [logits, half], name="scaled")
    node.outputs[0].name = "logits"
    model.graph.append(node)
    model.graph.outputs[0] = node.outputs[0]
    assert roles(model)["lm_head.weight"] is Role.HEAD
