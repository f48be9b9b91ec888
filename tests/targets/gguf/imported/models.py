"""Small configs of the model types that llama.cpp runs, and files made of random models of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from convert.importing.architecture import Imported
from convert.stream import write_layouts
from passes.quantize import Policy, Quantize
from targets.base import Layout, LayoutRequest, Source
from targets.gguf.target import GgufTarget
from tests.support.imported import raw_config, weights_of
from tests.targets.gguf.checkpoints import VOCABULARY

WINDOW = 16
"""Shorter than the texts."""

_GPT2: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "intermediate_size", "num_hidden_layers"), ...),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "head_dim"), ...),
    "max_position_embeddings": ...,
    **{"n_embd": 48, "n_layer": 2, "n_head": 6, "n_positions": 256, "n_inner": 72},
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
_YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 64,
}
_YARN_OF_SOME = {
    "full_attention": _YARN,
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
_EXPERTS = {
    **{"num_experts": 6, "num_local_experts": 6, "num_experts_per_tok": 2},
    "moe_intermediate_size": 40,
}
_DEEPSEEK = {
    **_EXPERTS,
    **{"n_routed_experts": 6, "n_shared_experts": 2, "first_k_dense_replace": 1},
    **{"n_group": 1, "topk_group": 1, "num_hidden_layers": 3, "norm_topk_prob": True},
    "routed_scaling_factor": 1.5,
}
_LATENT: dict[str, Any] = {
    **_DEEPSEEK,
    **{"head_dim": ..., "num_key_value_heads": 6, "q_lora_rank": 24, "kv_lora_rank": 16},
    **{"qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "v_head_dim": 12},
}
_GRANITE = {
    "embedding_multiplier": 3.0,
    "logits_scaling": 2.0,
    "residual_multiplier": 0.7,
    "attention_multiplier": 0.2,
}
_SLIDING, _FULL = "sliding_attention", "full_attention"

SETTINGS: Mapping[str, dict[str, Any]] = {
    "arcee": {"rope_parameters": _LLAMA3, "tie_word_embeddings": True},
    "cohere": {"logit_scale": 0.3},
    "cohere2": {"logit_scale": 0.3, "sliding_window": WINDOW, "num_hidden_layers": 4},
    "deepseek_v2": {**_LATENT, "q_lora_rank": None},
    "deepseek_v3": {
        **_LATENT,
        **{**dict.fromkeys(("n_routed_experts", "num_experts", "num_local_experts"), 8)},
        **{"n_group": 4, "topk_group": 2, "num_experts_per_tok": 3},
        "rope_parameters": {**_YARN, "mscale": 1.0, "mscale_all_dim": 1.0},
    },
    "dots1": {**_DEEPSEEK, "num_key_value_heads": 6},
    "ernie4_5_moe": {
        **{"moe_num_experts": 6, "moe_k": 2, "moe_num_shared_experts": 1},
        **{"moe_layer_start_index": 1, "num_hidden_layers": 3, "moe_intermediate_size": 40},
    },
    "exaone4": {"sliding_window": None, "layer_types": [_FULL] * 2},
    "cwm": {"sliding_window": 64, "rope_parameters": _LLAMA3},
    "exaone_moe": {
        **_DEEPSEEK,
        **{"num_shared_experts": 1, "sliding_window": WINDOW, "num_hidden_layers": 4},
        "layer_types": [*[_SLIDING] * 3, _FULL],
        "mlp_layer_types": ["dense", *["sparse"] * 3],
    },
    "falcon": {
        **dict.fromkeys(("num_key_value_heads", "head_dim", "intermediate_size"), ...),
        **{"new_decoder_architecture": False, "multi_query": True, "parallel_attn": True},
        # Each activation is another chance that both sides round to different float16.
        "ffn_hidden_size": 72,
    },
    "gemma2": {"sliding_window": WINDOW, "query_pre_attn_scalar": 8, "num_hidden_layers": 3},
    "gemma3_text": {
        "sliding_window": WINDOW,
        "query_pre_attn_scalar": 8,
        "num_hidden_layers": 3,
        "layer_types": [_SLIDING, _FULL, _SLIDING],
    },
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2,
    "gpt_neox": {"rotary_pct": 0.5, "num_key_value_heads": ..., "head_dim": ...},
    "glm4_moe": _DEEPSEEK,
    "glm4_moe_lite": {**_LATENT, "rms_norm_eps": 1e-6},
    "gpt_oss": {
        **_EXPERTS,
        **{"sliding_window": WINDOW, "num_hidden_layers": 3},
        "layer_types": [_SLIDING, _FULL, _SLIDING],
        "rope_parameters": _YARN,
    },
    "granite": _GRANITE,
    "granitemoe": {**_GRANITE, **_EXPERTS},
    "hunyuan_v1_moe": {**_EXPERTS, "moe_topk": 2, "num_shared_expert": 1},
    "llama": {"rope_parameters": _LLAMA3},
    "ministral": {"sliding_window": 64},
    "minicpm3": {**_LATENT, "rms_norm_eps": 1e-6},
    "minimax_m2": _EXPERTS,
    "mistral": {"sliding_window": None},
    "mixtral": _EXPERTS,
    "olmo": {"clip_qkv": 1.5},
    "olmoe": {**_EXPERTS, "num_key_value_heads": 6},
    "olmo3": {"sliding_window": WINDOW, "num_hidden_layers": 4, "rope_parameters": _YARN_OF_SOME},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 40},
    "qwen3_moe": {**_EXPERTS, "norm_topk_prob": True},
    "seed_oss": {"rope_parameters": _YARN},
    "smollm3": {"num_hidden_layers": 4},
    "youtu": {key: value for key, value in _LATENT.items() if "expert" not in key},
    "solar_open": {**_DEEPSEEK, "first_k_dense_replace": 0},
    "stablelm": {"use_qkv_bias": True},
    "starcoder2": {"sliding_window": None},
}
"""What configs have beside the sizes that are usual here."""


def config_of(model_type: str, **changes: Any) -> dict[str, Any]:
    """A small config of a model type; a change to `...` removes the key."""
    settings = {"vocab_size": VOCABULARY, **SETTINGS.get(model_type, {}), **changes}
    return raw_config(model_type, **settings)


def request(raw: dict[str, Any], model: Any, folder: Path, encoding: str = "f32") -> LayoutRequest:
    """What the pipeline would ask of the target for a model of transformers."""
    architecture = Imported(raw, raw["architectures"][0])
    config = architecture.parse(raw)
    graph = architecture.build(config, architecture.bound(weights_of(model)))
    eight = "f32" if encoding == "f32" else "q8_0"
    allowed = GgufTarget.encodings
    Quantize(Policy(encoding, eight, eight, (), allowed, fallbacks=("q8_0", "f16")))(graph)
    return LayoutRequest(Source("acme/small", folder, raw, config), graph)


def convert(
    raw: dict[str, Any], model: Any, folder: Path, out: Path, encoding: str = "f32"
) -> Layout:
    """Lay a model out and write it."""
    layout = GgufTarget().lay_out(request(raw, model, folder, encoding))
    out.mkdir(parents=True, exist_ok=True)
    write_layouts([(out, layout)])
    return layout


class RoundedGelu(torch.nn.Module):
    """GELU as ggml looks it up: by the float16 of its argument, in a table of float16."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
        return torch.where(x.abs() < 10, y, x.clamp(min=0))


def round_gelu(model: Any) -> bool:
    """Let a model compute GELU as ggml does; whether it computes any."""
    found = False
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if "gelu" in type(child).__name__.lower():
                setattr(module, name, RoundedGelu())
                found = True
    return found
