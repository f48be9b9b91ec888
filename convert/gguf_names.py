"""Names of parameters by the names of tensors in a GGUF, for each of llama.cpp's architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class _Names:
    """Modules of a checkpoint by parts of a GGUF.

    Args:
        outside: Those that are no part of a layer.
        layer: What the modules of a layer begin with; its number takes the place of the braces.
        inside: Those of a layer.
    """

    outside: Mapping[str, str]
    layer: str
    inside: Mapping[str, str]


_LLAMA = _Names(
    outside={
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "output": "lm_head",
    },
    layer="model.layers.{}.",
    inside={
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    },
)
_BLOOM = _Names(
    outside={
        "token_embd": "transformer.word_embeddings",
        "token_embd_norm": "transformer.word_embeddings_layernorm",
        "output_norm": "transformer.ln_f",
        "output": "lm_head",
    },
    layer="transformer.h.{}.",
    inside={
        "attn_norm": "input_layernorm",
        "attn_qkv": "self_attention.query_key_value",
        "attn_output": "self_attention.dense",
        "ffn_norm": "post_attention_layernorm",
        "ffn_up": "mlp.dense_h_to_4h",
        "ffn_down": "mlp.dense_4h_to_h",
    },
)
_BY_ARCHITECTURE = {"bloom": _BLOOM, "llama": _LLAMA, "qwen2": _LLAMA, "qwen3": _LLAMA}


def hugging_face_name(architecture: str, name: str) -> str | None:
    """The checkpoint's name of a GGUF tensor; None if there is none.

    Args:
        architecture: Value of ``general.architecture``.
        name: Of the tensor.

    >>> hugging_face_name("llama", "blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    names = _BY_ARCHITECTURE.get(architecture)
    module, _, kind = name.rpartition(".")
    if names is None or kind not in ("weight", "bias"):
        return None
    if module in names.outside:
        return f"{names.outside[module]}.{kind}"
    prefix, _, rest = module.partition(".")
    layer, _, part = rest.partition(".")
    if prefix != "blk" or not layer.isdecimal() or part not in names.inside:
        return None
    return f"{names.layer.format(layer)}{names.inside[part]}.{kind}"
