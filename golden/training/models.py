"""Which small models can be trained, and their shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convert.errors import UsageError
from golden.training.corpus import TURN_END
from golden.training.tokenizer import DOCUMENT, SPECIAL_TOKENS

LONGEST = 512
VOCABULARY = 1280

_START, _END = SPECIAL_TOKENS.index(DOCUMENT), SPECIAL_TOKENS.index(TURN_END)


def _tiny_llama() -> Any:
    """Build a Llama with grouped-query attention; every width is a multiple of 32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=5,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=LONGEST,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        bos_token_id=_START,
        eos_token_id=_END,
        pad_token_id=_START,
    )
    model: Any = LlamaForCausalLM(config)
    # A chat turn ends with one token and any other document with the other.
    model.generation_config.eos_token_id = [_END, _START]
    return model


_BUILDERS: dict[str, Callable[[], Any]] = {"tiny-llama": _tiny_llama}

SMALL_MODELS = tuple(_BUILDERS)


def build_untrained(name: str) -> Any:
    """Build a small model with the random weights of torch's current seed.

    Args:
        name: One of `SMALL_MODELS`.

    Returns:
        A float32 transformers model: called with `input_ids` and `labels`, it gives the loss.

    Raises:
        UsageError: There is no small model of that name.
    """
    if name not in _BUILDERS:
        raise UsageError(
            "There is no such small model to train.",
            expected=" or ".join(SMALL_MODELS),
            found=name,
        )
    return _BUILDERS[name]()
