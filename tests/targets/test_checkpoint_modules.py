"""Layers that vLLM fuses must be stored alike."""

from __future__ import annotations

import pytest

from convert.errors import UnsupportedEncodingError
from targets.checkpoint_modules import linear_layers, require_alike
from tests.support.models import small_model


def test_linear_layers_are_named_by_module_without_the_head():
    layers = linear_layers(small_model("llama", num_hidden_layers=1).graph())
    attention = [f"model.layers.0.self_attn.{part}_proj" for part in "qkvo"]
    mlp = [f"model.layers.0.mlp.{part}_proj" for part in ("gate", "up", "down")]
    assert sorted(layers) == sorted(attention + mlp)
    assert layers[attention[0]].weight.name == f"{attention[0]}.weight"


def test_parts_of_a_fused_layer_must_agree():
    stored = {f"a.{part}_proj": "int4" for part in ("q", "k", "v", "gate", "up")}
    require_alike(stored)
    require_alike({"a.q_proj": "int4", "b.k_proj": "bf16", "b.v_proj": "int4"})
    for part, found in (("k", "q_proj int4, k_proj bf16"), ("up", "gate_proj int4, up_proj bf16")):
        with pytest.raises(UnsupportedEncodingError, match=found):
            require_alike({**stored, f"a.{part}_proj": "bf16"})
