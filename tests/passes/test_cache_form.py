"""A cache is refused, with a reason and a node, before anything has changed."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from convert.errors import PassRefusedError
from convert.graph import attention_nodes
from passes.base import fingerprint
from passes.cache_form import cached_tensors
from passes.kv_cache import DynamicCache, StatefulCache, StaticCache
from tests.support.models import small_model

FORMS = [DynamicCache(), StatefulCache(), StaticCache(1, 1, 8)]


@pytest.fixture
def graph():
    return small_model("llama").graph()


def refused(form, graph, reason, node):
    before = fingerprint(graph)
    with pytest.raises(PassRefusedError, match=reason) as caught:
        form(graph)
    assert caught.value.node == node
    assert fingerprint(graph) == before


@pytest.mark.parametrize("second", FORMS, ids=lambda form: form.form)
@pytest.mark.parametrize("first", FORMS, ids=lambda form: form.form)
def test_a_graph_gets_one_cache(graph, first, second):
    first(graph)
    refused(second, graph, f"a {first.form} KV cache", "model.layers.0.self_attn.Attention")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.form)
def test_a_graph_without_attention_is_refused(form):
    empty = ir.Model(ir.Graph([], [], nodes=[], name="empty"), ir_version=11)
    refused(form, empty, "no attention", "empty")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.form)
def test_attention_that_is_fed_otherwise_is_refused(graph, form):
    node = attention_nodes(graph)[1]
    node.replace_input_with(3, None)
    refused(form, graph, "query, key, value and mask", "model.layers.1.self_attn.Attention")


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.form)
def test_keys_of_unknown_shape_are_refused(graph, form):
    attention_nodes(graph)[1].inputs[2].shape = None
    refused(form, graph, "1.value", "model.layers.1.self_attn.Attention")


def test_cached_tensors_are_named_by_layer(graph):
    tensors = list(cached_tensors(graph))
    assert [tensor.name for tensor in tensors] == ["0.key", "0.value", "1.key", "1.value"]
    assert tensors[3].past_name == "past_key_values.1.value"
    assert tensors[3].present_name == "present.1.value"
    assert str(tensors[3].shape(16)) == "[batch,2,16,8]"
