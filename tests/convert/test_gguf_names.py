"""Names that a GGUF gives to tensors lead back to those of the checkpoint."""

from __future__ import annotations

import pytest

from convert.gguf_names import expert_pattern, hugging_face_name


@pytest.mark.parametrize(
    ("architecture", "name", "found"),
    [
        ("llama", "blk.3.attn_q.weight", "model.layers.3.self_attn.q_proj.weight"),
        ("qwen2", "blk.0.attn_q.bias", "model.layers.0.self_attn.q_proj.bias"),
        ("qwen3", "output_norm.weight", "model.norm.weight"),
        (
            "bloom",
            "blk.12.attn_qkv.bias",
            "transformer.h.12.self_attention.query_key_value.bias",
        ),
        ("bloom", "token_embd_norm.bias", "transformer.word_embeddings_layernorm.bias"),
        ("bloom", "output.weight", "lm_head.weight"),
        ("llama", "blk.2.ffn_gate_inp.weight", "model.layers.2.block_sparse_moe.gate.weight"),
        ("qwen3moe", "blk.2.ffn_gate_inp.weight", "model.layers.2.mlp.gate.weight"),
        (
            "qwen2moe",
            "blk.0.ffn_up_shexp.weight",
            "model.layers.0.mlp.shared_expert.up_proj.weight",
        ),
    ],
)
def test_the_name_in_the_checkpoint(architecture, name, found):
    assert hugging_face_name(architecture, name) == found


@pytest.mark.parametrize(
    "name",
    [
        *("blk.x.attn_q.weight", "blk.1.ffn_gate_exps.weight", "v.blk.1.attn_q.weight", ""),
        *("blk.1.attn_qkv.weight", "blk.1.attn_q.scale", "blk.1.weight", "rope_freqs.weight"),
    ],
)
def test_other_names_are_none(name):
    assert hugging_face_name("llama", name) is None


def test_the_names_of_experts():
    scope = "model.layers.3"
    assert expert_pattern("llama", "blk.3.ffn_down_exps.weight") == (
        f"{scope}.block_sparse_moe.experts.{{}}.w2.weight"
    )
    assert expert_pattern("qwen2moe", "blk.3.ffn_gate_exps.weight") == (
        f"{scope}.mlp.experts.{{}}.gate_proj.weight"
    )
    assert expert_pattern("qwen3moe", "blk.3.ffn_gate_inp.weight") is None
    assert expert_pattern("qwen3", "blk.3.ffn_gate_exps.weight") is None
    assert expert_pattern("falcon", "blk.3.ffn_gate_exps.weight") is None


def test_an_architecture_without_names_has_none():
    assert hugging_face_name("falcon", "token_embd.weight") is None
