"""Keys of one layer are told from those of latent attention; others are refused.

What is found in a graph of DeepSeek is in `test_absorbing`.
"""

from __future__ import annotations

import onnx_ir as ir
import pytest

from convert.graph import attention_nodes
from targets.gguf.imported.evaluating import NotComputableError
from targets.gguf.imported.latent import keys_of
from targets.gguf.imported.linears import linears
from tests.support.models import small_model


@pytest.fixture
def graph():
    return small_model("llama", num_hidden_layers=1).graph()


def test_keys_of_one_layer_are_its_heads(graph) -> None:
    by_output = {each.y: each for each in linears(graph)}
    (node,) = attention_nodes(graph)
    keys, latent = keys_of(node.inputs[1], by_output)
    assert latent is None
    assert keys.rows.shape == (2, 8)


def test_keys_of_two_layers_that_are_added_are_refused(graph) -> None:
    by_output = {each.y: each for each in linears(graph)}
    (node,) = attention_nodes(graph)
    ends = [each for each in by_output.values() if each.name.split(".")[-2] in ("k_proj", "v_proj")]
    reader = ends[0].y.consumers()[0]
    both = ir.Node("", "Add", [ends[0].y, ends[1].y], name="both")
    both.outputs[0].name, both.outputs[0].type = "both", ends[0].y.type
    both.outputs[0].shape = ends[0].y.shape
    graph.graph.insert_before(reader, both)
    reader.replace_input_with(0, both.outputs[0])
    with pytest.raises(NotComputableError):
        keys_of(node.inputs[1], by_output)
