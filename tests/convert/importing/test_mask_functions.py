"""Masks are known by what they allow; others become what they compute of all pairs."""

import numpy as np
import pytest

from convert.architectures.masks import is_only_causal
from convert.errors import UnsupportedArchitectureError
from convert.graph import attention_nodes
from convert.importing.graphs import imported_graph
from convert.importing.mask_functions import is_causal, mask_of
from convert.importing.operators import register
from convert.importing.skeleton import skeleton
from convert.importing.tracing import trace
from tests.support.imported import largest_differences, raw_config

CHUNKED = {
    "num_hidden_layers": 3,
    "layer_types": ["chunked_attention", "chunked_attention", "full_attention"],
    "no_rope_layers": [1, 1, 0],
    "attention_chunk_size": 3,
    "floor_scale": 2,
    "intermediate_size_mlp": 72,
    "num_local_experts": 4,
    "interleave_moe_layer_step": 2,
}
"""Chunks shorter than the padding, and queries scaled by their position where none is rotated."""


def test_masks_are_known_by_what_they_allow():
    from transformers import masking_utils as masks

    register()
    assert is_causal(masks.causal_mask_function, None)
    assert is_causal(masks.sliding_window_causal_mask_function(5), 5)
    assert is_causal(masks.sliding_window_causal_mask_function(4096), 4096)
    assert not is_causal(masks.sliding_window_causal_mask_function(5), 6)
    assert not is_causal(masks.sliding_window_causal_mask_function(5), None)
    assert not is_causal(masks.bidirectional_mask_function, None)


def test_chunks_begin_with_the_first_token_behind_the_padding():
    found = largest_differences(raw_config("llama4_text", **CHUNKED))
    assert max(found.values()) < 1e-5, found


def test_only_layers_without_chunks_have_the_usual_mask():
    graph = imported_graph(skeleton(raw_config("llama4_text", **CHUNKED)))
    masks = [node.inputs[3] for node in attention_nodes(graph)]
    assert [is_only_causal(mask) for mask in masks] == [False, False, True]
    assert masks[0] is masks[1]


def test_functions_of_functions_are_taken_apart():
    import torch
    from transformers import masking_utils as masks

    register()

    def forbidden(batch, head, query, key):
        return key != 2

    attention_mask = torch.ones((2, 7), dtype=torch.bool)
    either = masks.or_masks(forbidden, masks.chunked_overlay(2, torch.tensor([0, 1])))
    found = mask_of(either, attention_mask, 3, None)
    query, key = np.arange(4, 7)[:, None], np.arange(7)
    expected = [(key != 2) | ((key - pad) // 2 == (query - pad) // 2) for pad in (0, 1)]
    np.testing.assert_array_equal(found.numpy(), np.array(expected)[:, None])


def test_a_function_that_takes_no_tensors_is_refused(monkeypatch):
    def one_by_one(batch, head, query, key):
        return [query, key][int(query > key)] > 0

    def overlaid(**given):
        from transformers.masking_utils import and_masks, causal_mask_function

        return usual(**given, and_mask_function=and_masks(causal_mask_function, one_by_one))

    from transformers.models.gemma import modeling_gemma as gemma

    usual = gemma.create_causal_mask
    monkeypatch.setattr(gemma, "create_causal_mask", overlaid)
    with pytest.raises(UnsupportedArchitectureError, match="a mask of its own"):
        trace(skeleton(raw_config("gemma", num_hidden_layers=1)))
