"""Names of parameters by the names of tensors in a GGUF, for each of llama.cpp's architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class _Names:
    """Modules of a checkpoint by parts of a GGUF.

    Args:
        outside: Those that are no part of a layer.
        layer: What the modules of a layer begin with; its number takes the place of the braces.
        inside: Those of a layer.
        experts: Those of a layer's experts, whose matrices a GGUF has in one tensor; the number
            of the expert takes the place of the braces.
    """

    outside: Mapping[str, str]
    layer: str
    inside: Mapping[str, str]
    experts: Mapping[str, str] = field(default_factory=dict)


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
_MIXTRAL = replace(
    _LLAMA,
    inside={**_LLAMA.inside, "ffn_gate_inp": "block_sparse_moe.gate"},
    experts={
        "ffn_gate_exps": "block_sparse_moe.experts.{}.w1",
        "ffn_up_exps": "block_sparse_moe.experts.{}.w3",
        "ffn_down_exps": "block_sparse_moe.experts.{}.w2",
    },
)
_QWEN_MOE = replace(
    _LLAMA,
    inside={
        **_LLAMA.inside,
        "ffn_gate_inp": "mlp.gate",
        "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
        "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
        "ffn_up_shexp": "mlp.shared_expert.up_proj",
        "ffn_down_shexp": "mlp.shared_expert.down_proj",
    },
    experts={
        "ffn_gate_exps": "mlp.experts.{}.gate_proj",
        "ffn_up_exps": "mlp.experts.{}.up_proj",
        "ffn_down_exps": "mlp.experts.{}.down_proj",
    },
)
_BY_ARCHITECTURE = {
    "bloom": _BLOOM,
    "llama": _MIXTRAL,
    "qwen2": _LLAMA,
    "qwen2moe": _QWEN_MOE,
    "qwen3": _LLAMA,
    "qwen3moe": _QWEN_MOE,
}


VECTOR_OF_ONE_ROW = ".shared_expert_gate.weight"
"""End of the names of matrices of one row that a GGUF has as vectors."""


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
    return _in_layer(names, names.inside, module, kind)


def expert_pattern(architecture: str, name: str) -> str | None:
    """The checkpoint's names of the matrices in a GGUF tensor that holds one for each expert.

    Args:
        architecture: Value of ``general.architecture``.
        name: Of the tensor.

    Returns:
        The names with braces for the number of the expert; None for any other tensor.

    >>> expert_pattern("qwen3moe", "blk.3.ffn_up_exps.weight")
    'model.layers.3.mlp.experts.{}.up_proj.weight'
    """
    names = _BY_ARCHITECTURE.get(architecture)
    module, _, kind = name.rpartition(".")
    return None if names is None else _in_layer(names, names.experts, module, kind)


def _in_layer(names: _Names, modules: Mapping[str, str], module: str, kind: str) -> str | None:
    prefix, _, rest = module.partition(".")
    layer, _, part = rest.partition(".")
    if prefix != "blk" or not layer.isdecimal() or part not in modules:
        return None
    return f"{names.layer.format(layer)}{modules[part]}.{kind}"
