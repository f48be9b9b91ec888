"""Experts, sinks and latent attention of transformers' classes, in onnxruntime and OpenVINO."""

import pytest

from convert.importing.expert_operators import register_experts
from tests.support.imported import largest_differences, raw_config
from tests.support.imported_openvino import ImportedIr

EIGHT = {
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
}
LATENT = {
    "head_dim": ...,
    "num_key_value_heads": 6,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
}
GROUPED = {"n_group": 4, "topk_group": 2, "n_shared_experts": 1, "first_k_dense_replace": 1}

MECHANISMS = {
    "gated": ("qwen3_moe", {**EIGHT, "num_experts_per_tok": 4, "norm_topk_prob": True}),
    "shared": ("qwen2_moe", {**EIGHT, "shared_expert_intermediate_size": 40}),
    "sinks-and-interleaved": (
        "gpt_oss",
        {
            **EIGHT,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {"rope_type": "default", "rope_theta": 150000.0},
        },
    ),
    "grouped-and-latent": ("deepseek_v3", {**EIGHT, **LATENT, **GROUPED}),
    "complex-rotation": (
        "deepseek_v2",
        {**EIGHT, **LATENT, **GROUPED, "topk_method": "group_limited_greedy"},
    ),
    "sparse-mixer": ("phimoe", EIGHT),
}


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_mechanisms_whole_cached_and_padded(mechanism, tmp_path):
    family, changes = MECHANISMS[mechanism]
    raw = raw_config(family, **changes)
    found = largest_differences(raw)
    assert max(found.values()) < 1e-5, found
    ir = ImportedIr(raw, tmp_path)
    found = ir.differences()
    assert max(found.values()) < 1e-4, found
    # A product for each of the experts' matrices of a layer, and attention that keeps its cache.
    layers = 1 if "first_k_dense_replace" in changes else 2
    assert ir.kinds["GatherMatmul"] == 2 * layers
    assert ir.kinds["ScaledDotProductAttention"] == 2


@pytest.mark.slow
def test_experts_are_registered_once():
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    register_experts()
    register_experts()
    assert "tricast" in ALL_EXPERTS_FUNCTIONS
