"""What an attention is made of: its layers, sinks, and what it is refused for."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import pytest

from convert.graph import attention_nodes
from convert.importing.architecture import Imported
from targets.gguf.imported.attending import Reading, attention_of, layer_behind
from targets.gguf.imported.evaluating import NotComputableError
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.linears import linears
from tests.support.imported import imported_graph_of, original
from tests.support.models import small_model
from tests.targets.gguf.imported.models import config_of


@pytest.fixture
def graph():
    return small_model("llama", num_hidden_layers=1).graph()


def parts(graph: ir.Model):
    layers = linears(graph)
    (node,) = attention_nodes(graph)
    return node, layers, Reading({each.y: each for each in layers}, None)


def test_an_attention_names_the_layers_that_it_is_made_of(graph) -> None:
    node, layers, reading = parts(graph)
    output = layer_behind(node, layers)
    found = attention_of(node, None, output, reading)
    assert output.name == "model.layers.0.self_attn.o_proj.weight"
    assert [each.name.split(".")[-2] for each in found.layers] == ["q_proj", "k_proj", "v_proj"]
    assert (found.latent, found.inner, found.sinks) == (None, None, None)
    inner = replace(found, inner=output)
    assert inner.layers[-1] is output


def test_added_scores_and_unread_results_are_refused(graph) -> None:
    node, layers, reading = parts(graph)
    output = layer_behind(node, layers)
    with pytest.raises(NotComputableError, match="nothing reads"):
        layer_behind(node, layers[:3])
    added = ir.Value(name="biases", type=ir.TensorType(ir.DataType.FLOAT))
    node.replace_input_with(3, added)
    with pytest.raises(NotComputableError, match="something is added"):
        attention_of(node, None, output, reading)


@pytest.mark.slow
def test_sinks_are_found_by_their_names() -> None:
    raw = config_of("gpt_oss", num_hidden_layers=1, layer_types=["full_attention"])
    graph = imported_graph_of(raw, original(raw))
    facts = facts_of(graph, Imported(raw, raw["architectures"][0]).parse(raw))
    assert [each.sinks for each in facts.attentions] == ["model.layers.0.self_attn.sinks"]
    (mixture,) = facts.mixtures.values()
    assert len(mixture.down.expert_biases) == 6
    assert {each.name for each in facts.activations.values()} == {"swiglu_oai"}
