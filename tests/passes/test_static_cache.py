"""With a cache of fixed length the graph computes what it did, and every shape is a number."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from convert.errors import PassRefusedError
from passes.static_cache import CACHE_POSITION, StaticCache
from tests.support.decoding import fixed
from tests.support.models import random_ids, small_model
from tests.support.odd_models import ODD_MODELS
from tests.support.ort import relative_error

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""


@pytest.fixture(scope="module", params=ODD_MODELS, ids=str)
def model(request):
    family, changes = ODD_MODELS[request.param]
    return small_model(family, **changes)


def static(model, batch, tokens, length):
    graph = model.graph()
    assert StaticCache(batch, tokens, length)(graph)
    return graph


@pytest.mark.parametrize(("prompt", "bucket", "length"), [(6, 8, 16), (8, 8, 12), (1, 1, 11)])
def test_a_padded_prompt_then_token_by_token(model, prompt, bucket, length):
    ids = random_ids(1, 11, model.config.vocab)
    mask = np.ones_like(ids)
    prefill, decode = static(model, 1, bucket, length), static(model, 1, 1, length)
    found = fixed(prefill, decode, ids, mask, prompt)
    assert relative_error(found, model.logits(ids)) < TOLERANCE


def test_a_left_padded_batch(model):
    ids = random_ids(2, 11, model.config.vocab)
    mask = np.ones_like(ids)
    mask[1, :4] = 0
    prefill, decode = static(model, 2, 8, 16), static(model, 2, 1, 16)
    found = fixed(prefill, decode, ids, mask, prompt=6)
    real = mask == 1
    assert relative_error(found[real], model.logits(ids, mask)[real]) < TOLERANCE


def test_onnx_infers_a_number_for_every_axis(model):
    graph = static(model, 2, 3, 8)
    ours = {
        value.name: tuple(value.shape)
        for node in graph.graph
        for value in node.outputs
        if not value.is_graph_output()
    }
    bare = ir.to_proto(graph)
    del bare.graph.value_info[:]
    # Not with data_prop: it takes numbered slots for shapes, and their difference for an error.
    inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True)
    theirs = {
        info.name: tuple(axis.dim_value for axis in info.type.tensor_type.shape.dim)
        for info in inferred.graph.value_info
        if all(axis.HasField("dim_value") for axis in info.type.tensor_type.shape.dim)
    }
    assert {name: theirs.get(name) for name in ours} == ours


def test_inputs_and_outputs_have_the_sizes_asked_for():
    model = small_model("llama")
    graph = static(model, 2, 3, 8).graph
    sizes = {value.name: tuple(value.shape) for value in (*graph.inputs, *graph.outputs)}
    assert sizes == {
        "input_ids": (2, 3),
        "attention_mask": (2, 8),
        "position_ids": (2, 3),
        CACHE_POSITION: (1,),
        **{
            f"{side}.{layer}.{part}": (2, 2, 8, 8)
            for side in ("past_key_values", "present")
            for layer in (0, 1)
            for part in ("key", "value")
        },
        "logits": (2, 3, 101),
    }
    kinds = {node.op_type for node in graph}
    assert not kinds & {"Range", "Shape"}


@pytest.mark.parametrize("sizes", [(0, 1, 8), (1, 0, 8), (1, 9, 8), (1, 1, 0)])
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(PassRefusedError, match="cannot have") as caught:
        StaticCache(*sizes)(small_model("llama").graph())
    assert caught.value.node == "llama"


def test_a_graph_that_does_not_number_its_slots_is_refused():
    graph = small_model("llama").graph()
    next(node for node in graph.graph if node.name == "query_slots").outputs[0].name = "other"
    with pytest.raises(PassRefusedError, match="no query_slots"):
        StaticCache(1, 1, 8)(graph)


def test_experts_are_refused():
    with pytest.raises(PassRefusedError, match="visit an expert") as caught:
        StaticCache(1, 1, 8)(small_model("mixtral").graph())
    assert caught.value.node == "model.layers.0.block_sparse_moe.experts.Split"
