"""What of a graph runs, and what does not."""

from __future__ import annotations

import pytest

from convert.graph import LOGITS
from passes.calibration.held import HeldValues
from passes.calibration.steps import plan, streamed_weight, weights_first
from tests.support.models import small_model


@pytest.fixture(scope="module")
def graph():
    return small_model("llama", num_hidden_layers=1).graph()


def test_without_logits_the_head_is_looked_at_but_not_computed(graph):
    steps = plan(graph, logits=False).steps
    assert [step.node.outputs[0].name for step in steps if not step.computes] == [LOGITS]
    assert all(step.computes for step in plan(graph, logits=True).steps)


def test_the_weights_of_all_linear_layers_are_streamed_in_order(graph):
    names = [weight.name.split(".")[-2] for weight in plan(graph, logits=False).weights]
    assert sorted(names[:3]) == ["k_proj", "q_proj", "v_proj"]
    assert names[3:] == ["o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]


def test_no_weight_is_turned(graph):
    for step in plan(graph, logits=True).steps:
        if step.node.op_type == "Transpose":
            assert step.node.inputs[0].const_value is None


def test_masks_and_angles_are_the_same_for_texts_of_one_length(graph):
    by_text = {step.node.name: step.by_text for step in plan(graph, logits=True).steps}
    shared = {name.split(".")[0] for name, depends in by_text.items() if not depends}
    assert {"mask", "query_slots", "key_slots", "attention_mask", "input_ids"} <= shared
    assert not by_text["model.rotary_emb.Cos"]
    assert by_text["model.layers.0.self_attn.Attention"]


def test_every_value_that_is_held_is_released_by_its_last_reader(graph):
    chosen = plan(graph, logits=False)
    held = HeldValues(graph, [[1, 2], [3]], chosen.reads)
    for step in chosen.steps:
        for value in step.node.outputs:
            held.put(value, {})
        for value in step.inputs:
            held.release(value)
    with pytest.raises(KeyError):
        held.get(graph.graph.inputs[0], 0)
    assert not held._held


def test_only_products_with_a_parameter_are_streamed(graph):
    found = {node.op_type for node in graph.graph if streamed_weight(node) is not None}
    assert found == {"MatMul"}
    yuan = small_model("yuan", num_hidden_layers=1).graph()
    found = {node.op_type for node in yuan.graph if streamed_weight(node) is not None}
    assert found == {"MatMul", "Conv"}


@pytest.mark.parametrize("family", ["llama", "bloom", "yuan"])
def test_weights_come_as_soon_as_their_inputs_are_there(family):
    steps = plan(small_model(family, num_hidden_layers=2).graph(), logits=True).steps
    ordered = weights_first(steps)
    assert sorted(map(id, ordered)) == sorted(map(id, steps))
    assert [step.weight for step in ordered if step.weight] == [
        step.weight for step in steps if step.weight
    ]
    to_come = {value for step in steps for value in step.node.outputs}
    for step in ordered:
        assert to_come.isdisjoint(step.inputs)
        to_come.difference_update(step.node.outputs)
    runs = "".join("w" if step.weight else "-" for step in ordered)
    assert max(map(len, runs.split("-"))) >= (3 if family == "llama" else 1)
