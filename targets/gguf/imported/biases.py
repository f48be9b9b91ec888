"""Which biases an architecture of llama.cpp reads; gguf has names for all, in every architecture.

A file with one that is not loaded is refused by llama.cpp as a whole; some (of the output
projection in ``ernie4_5``) are loaded and then left out of what it computes. Found by giving each
architecture each bias, which `tests/targets/gguf/imported/test_parity.py` does again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_QKV = ("attn_q", "attn_k", "attn_v", "attn_qkv")
_NORMS = ("attn_norm", "ffn_norm", "output_norm")
_TWO = ("ffn_up", "ffn_down")
_MLP = ("ffn_gate", *_TWO)
_OUTPUT = "attn_output"
_CORRECTION = "exp_probs_b"
_EXPERTS = ("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
_WITH_ALL = (*_NORMS, "attn_qkv", _OUTPUT, *_TWO)

READ: Mapping[str, tuple[str, ...]] = {
    "deepseek2": (_CORRECTION,),
    "dots1": (*_QKV, _CORRECTION),
    "ernie4_5-moe": (*_QKV, _CORRECTION),
    "exaone-moe": (*_QKV, _CORRECTION),
    "falcon": ("attn_norm", "attn_norm_2", "output_norm"),
    "glm4moe": (*_QKV, _CORRECTION),
    "gpt-oss": (*_QKV, _OUTPUT, "ffn_gate_inp", *_EXPERTS),
    "gpt2": _WITH_ALL,
    "gptneox": _WITH_ALL,
    "granite": (*_QKV, _OUTPUT, *_MLP),
    "granitemoe": (*_QKV, _OUTPUT),
    "jais2": (*_NORMS, *_QKV, _OUTPUT, *_TWO),
    "llama": (*_QKV, _OUTPUT, *_MLP),
    "minicpm3": (),
    "minimax-m2": (*_QKV, _CORRECTION),
    "nemotron": (*_NORMS, *_QKV, _OUTPUT, *_TWO),
    "phi2": ("attn_norm", "output_norm", *_QKV, _OUTPUT, *_TWO, "output"),
    "qwen2": (*_QKV, "output"),
    "stablelm": (*_NORMS, *_QKV),
    "starcoder": _WITH_ALL,
    "starcoder2": (*_NORMS, *_QKV, _OUTPUT, *_TWO),
}
"""By architecture, those that read other biases than of queries, keys and values."""

_LAYER = re.compile(r"blk\.\d+\.")


def is_read(architecture: str, stored: str) -> bool:
    """Whether an architecture computes with a tensor that gguf has a name for.

    Args:
        architecture: Value of ``general.architecture``.
        stored: Name in the GGUF. Of weights all are read that there is a name for.
    """
    part = _LAYER.sub("", stored)
    kind = part.removesuffix(".bias")
    return kind == part or kind in READ.get(architecture, _QKV)
