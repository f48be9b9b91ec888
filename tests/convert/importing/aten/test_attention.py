"""Attention of transformers is one operator, with what it is given as attributes."""

import pytest

from convert.graph import attention_nodes
from convert.importing.graphs import imported_graph, operators
from convert.importing.skeleton import skeleton
from tests.support.imported import raw_config


@pytest.fixture(scope="module")
def gemma2():
    return imported_graph(skeleton(raw_config("gemma2", num_hidden_layers=2, sliding_window=5)))


def test_windows_and_caps_are_of_the_layers_that_have_them(gemma2):
    nodes = attention_nodes(gemma2)
    assert [str(node.inputs[3].name) for node in nodes] == [
        "mask.window_5.allowed",
        "mask.full.allowed",
    ]
    assert [node.attributes["softcap"].as_float() for node in nodes] == [50.0, 50.0]
    assert nodes[0].attributes["scale"].as_float() == pytest.approx(256**-0.5)


def test_what_tracing_took_apart_is_put_back(gemma2):
    found = operators(gemma2)
    assert (found["Attention"], found["RotaryEmbedding"], found["RMSNormalization"]) == (2, 4, 9)
    assert not {"Sqrt", "Reciprocal", "Neg", "Slice", "Pow", "Expand"} & found.keys()


def test_names_say_the_module(gemma2):
    names = {str(node.name) for node in gemma2.graph}
    assert {
        "model.layers.0.self_attn.q_proj.MatMul",
        "model.layers.1.self_attn.Attention",
        "model.layers.1.post_feedforward_layernorm.RMSNormalization",
    } <= names
    assert len(names) == len(gemma2.graph)
