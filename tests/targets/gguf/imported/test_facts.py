"""What a graph computes is found by computing parts of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures.base import Rope
from convert.errors import UnsupportedConfigError
from convert.graph import attention_nodes, find_value
from targets.gguf.imported.activations import activation
from targets.gguf.imported.evaluating import NotComputableError, evaluated
from targets.gguf.imported.facts import facts_of
from targets.gguf.imported.heads import heads_of, without_repeats
from targets.gguf.imported.linears import linears, sources
from targets.gguf.imported.rotations import rotation, stated
from targets.gguf.imported.scalars import added_scale, embedding_scale, head_of
from targets.gguf.tensors import llama3_factors
from tests.support.models import small_model

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", rope_parameters=LLAMA3)


@pytest.fixture
def graph(llama):
    return llama.graph()


def scaled(model: ir.Model, value: ir.Value, number: float) -> None:
    """Multiply a value by a number wherever it is read."""
    constant = ir.Value(name="number", const_value=ir.tensor(np.float32(number)))
    model.graph.register_initializer(constant)
    readers = list(value.uses())
    node = ir.Node("", "Mul", [value, constant], name="number.Mul")
    node.outputs[0].name, node.outputs[0].type = "number.Mul", value.type
    model.graph.insert_after(value.producer(), node)
    for user, place in readers:
        user.replace_input_with(place, node.outputs[0])


def test_facts_of_a_llama(llama, graph) -> None:
    facts = facts_of(graph, llama.config)
    first = facts.attentions[0]
    assert len(facts.attentions) == 2
    assert first.queries.rows.shape == (6, 8)
    assert first.keys.rows.shape == (2, 8)
    np.testing.assert_array_equal(first.queries.rows.reshape(-1), np.arange(48))
    assert first.output.name == "model.layers.0.self_attn.o_proj.weight"
    assert {each.name for each in facts.activations.values()} == {"silu"}
    assert facts.parallel == {False}
    assert (facts.embedding_scale, facts.residual_scales, facts.head.scale) == (1.0, {1.0}, 1.0)
    ((kind, epsilon),) = facts.norms
    assert (kind, epsilon) == ("RMSNormalization", pytest.approx(1e-6))


def test_frequencies_and_their_factors_are_those_of_the_config(graph) -> None:
    node = next(node for node in graph.graph if node.op_type == "RotaryEmbedding")
    said = stated({"rope_parameters": LLAMA3, "vocab_size": 5})
    found = rotation(node, said)
    assert (found.base, found.divisor, found.size, found.in_turn) == (500000.0, None, 8, False)
    rope = Rope(500000.0, "llama3", 8.0, 1.0, 4.0, 32)
    np.testing.assert_allclose(found.factors, llama3_factors(rope, 8), rtol=1e-5)
    # Whatever the base, factors make the same frequencies of it.
    unstated = rotation(node)
    frequencies = unstated.base ** -(np.arange(0, 8, 2) / 8) / unstated.factors
    np.testing.assert_allclose(frequencies, found.frequencies, rtol=1e-6)


@pytest.mark.parametrize(("settings", "divisor"), [({}, 1.0), ({"factor": 4.0}, 4.0)])
def test_even_scaling_is_a_divisor(settings, divisor: float) -> None:
    kind = "linear" if settings else "default"
    rope = {"rope_type": kind, "rope_theta": 10000.0, **settings}
    model = small_model("llama", rope_parameters=rope, num_hidden_layers=1)
    node = next(node for node in model.graph().graph if node.op_type == "RotaryEmbedding")
    assert rotation(node).divisor == pytest.approx(divisor)
    assert rotation(node).base == 10000.0
    assert rotation(node).factor == 1.0


def test_a_fused_projection_says_which_rows_are_queries() -> None:
    model = small_model("bloom", num_hidden_layers=1)
    graph = model.graph()
    by_output = {each.y: each for each in linears(graph)}
    (node,) = attention_nodes(graph)
    queries, keys, values = (heads_of(value, by_output) for value in node.inputs[:3])
    size = queries.rows.shape[1]
    assert queries.linear.name.endswith("query_key_value.weight")
    for part, found in enumerate((queries, keys, values)):
        np.testing.assert_array_equal(found.rows[1], np.arange(size) + (3 + part) * size)


def test_repeated_heads_are_counted_once(llama, graph) -> None:
    keys = facts_of(graph, llama.config).attentions[0].keys
    assert without_repeats(keys).rows is not None
    twice = replace(keys, rows=np.repeat(keys.rows, 3, axis=0))
    np.testing.assert_array_equal(without_repeats(twice).rows, keys.rows)
    uneven = replace(keys, rows=keys.rows[[0, 0, 1]])
    assert without_repeats(uneven) is uneven


def test_activations_are_told_apart(graph) -> None:
    for model_type, name in (("llama", "silu"), ("bloom", "gelu_tanh")):
        made = small_model(model_type, num_hidden_layers=1).graph()
        layers = linears(made)
        by_output = {each.y: each for each in layers}
        down = next(each for each in layers if "down" in each.name or "4h_to_h" in each.name)
        found = activation(down, by_output)
        assert found.name == name
        assert (found.gate is not None) == (name == "silu")


def test_an_activation_that_nobody_knows_is_called_so(graph) -> None:
    layers = linears(graph)
    by_output = {each.y: each for each in layers}
    down = next(each for each in layers if "down_proj" in each.name)
    gate = next(each for each in layers if "gate_proj" in each.name)
    scaled(graph, gate.y, 1.3)
    assert activation(down, by_output).name not in ("silu", "gelu", "relu")


def test_numbers_on_the_way_are_found(graph) -> None:
    layers = linears(graph)
    embedded = next(node for node in graph.graph if node.op_type == "Gather").outputs[0]
    scaled(graph, embedded, 3.0)
    assert embedding_scale(graph) == 3.0
    output = next(each for each in layers if "o_proj" in each.name)
    assert added_scale(output) == 1.0
    assert head_of(graph, layers[-1]).cap is None


def test_a_number_before_the_head_counts_as_one_behind_it(graph) -> None:
    scaled(graph, linears(graph)[-1].x, 0.25)
    assert head_of(graph, linears(graph)[-1]).scale == 0.25


def test_a_number_before_an_output_projection_is_refused(llama, graph) -> None:
    node = attention_nodes(graph)[0]
    scaled(graph, node.outputs[0], 2.0)
    with pytest.raises(UnsupportedConfigError, match="no architecture") as caught:
        facts_of(graph, llama.config)
    assert "nothing reads" in str(caught.value)


def test_what_depends_on_weights_cannot_be_computed(graph) -> None:
    layers = linears(graph)
    with pytest.raises(NotComputableError):
        evaluated(layers[0].y, {})
    assert sources(layers[-1].x, {each.y: each for each in layers})
    assert find_value(graph, str(layers[0].y.name)) is layers[0].y


def test_a_mask_of_its_own_is_refused(llama, graph) -> None:
    (node, *_) = attention_nodes(graph)
    mask = node.inputs[3]
    own = ir.Node("", "And", [mask, mask], name="own")
    own.outputs[0].name, own.outputs[0].type, own.outputs[0].shape = "own", mask.type, mask.shape
    graph.graph.insert_before(node, own)
    node.replace_input_with(3, own.outputs[0])
    with pytest.raises(UnsupportedConfigError, match=r"llama\.cpp") as refused:
        facts_of(graph, llama.config)
    assert "a mask of its own, own" in str(refused.value)
