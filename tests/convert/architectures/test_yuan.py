"""Yuan: what its config may say, how queries and keys are cut, and that its code is never run."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures import architecture_of
from convert.errors import UnsupportedArchitectureError, UnsupportedConfigError
from convert.weights import ArrayWeight, read_float32
from tests.convert.architectures.configs import parse, raw_config

AUTO_MAP = {
    "AutoConfig": "configuration_yuan.YuanConfig",
    "AutoModelForCausalLM": "IEITYuan/Yuan2-2B-hf--yuan_hf_model.YuanForCausalLM",
}


def test_a_config_as_the_hub_has_it_is_read_in_full():
    config = parse(
        "yuan",
        num_key_value_heads=...,
        head_dim=...,
        rope_theta=...,
        auto_map=AUTO_MAP,
        hidden_act="silu",
        causal_mask=True,
        dropout=0.1,
        eod_token=77185,
        eod_token_id=77185,
        sep_token=77187,
        sep_token_id=77187,
        model_max_length=8192,
        reset_attention_mask=True,
        reset_position_ids=True,
        use_flash_attention=False,
        use_loss_mask=False,
        torch_dtype="bfloat16",
    )
    assert (config.family, config.heads, config.kv_heads, config.head_dim) == ("yuan", 6, 6, 8)
    assert (config.rope.theta, config.activated) == (10000.0, "up")
    assert config.localized_filter


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_shareqk", True),
        ("causal_mask", False),
        ("num_key_value_heads", 2),
        ("attention_projection_size", 96),
        ("hidden_act", "gelu"),
        ("moe_config", {"moe_num_experts": 32}),
        ("lf_conv2d_group", 4),
    ],
)
def test_a_variant_is_refused_naming_its_key(key, value):
    changes = {"num_key_value_heads": ..., key: value}
    with pytest.raises(UnsupportedConfigError, match=key):
        parse("yuan", **changes)


@pytest.mark.parametrize(
    "auto_map",
    [
        {**AUTO_MAP, "AutoModelForCausalLM": "yuan_hf_model.YuanMoeForCausalLM"},
        {"AutoModelForCausalLM": "YuanForCausalLM.Other"},
        ["configuration_yuan.YuanConfig"],
        "configuration_yuan.YuanConfig",
    ],
)
def test_code_other_than_its_own_is_refused(auto_map):
    with pytest.raises(UnsupportedArchitectureError, match="never executed"):
        architecture_of(raw_config("yuan", auto_map=auto_map))


def test_no_other_architecture_takes_yuans_code():
    with pytest.raises(UnsupportedArchitectureError, match="never executed"):
        architecture_of(raw_config("llama", auto_map=AUTO_MAP))


@pytest.mark.parametrize("heads", [1, 2, 5, 6])
def test_queries_and_keys_are_cut_by_head_from_both_projections(heads):
    """As the original does it: join the outputs, cut one piece a head, halve each piece."""
    raw = raw_config(
        "yuan", num_attention_heads=heads, num_key_value_heads=..., head_dim=4, hidden_size=12
    )
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    rng = np.random.default_rng(heads)
    weights = {
        name: ArrayWeight(name, rng.standard_normal(shape).astype(np.float32))
        for name, shape in architecture.parameters(config).items()
    }
    graph = architecture.build(config, weights).graph
    q, k = (f"model.layers.1.self_attn.{part}_proj.weight" for part in "qk")
    joined = np.concatenate([weights[q].array, weights[k].array]).reshape(heads, 2, 4, 12)
    for part, name in enumerate((q, k)):
        found = graph.initializers[name].const_value
        assert found.weight.name == name
        np.testing.assert_array_equal(
            read_float32(found.weight), joined[:, part].reshape(heads * 4, 12)
        )
