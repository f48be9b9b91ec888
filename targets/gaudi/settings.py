"""config.json, generation_config.json and checkpoints.json as the Gaudi stack reads them.

optimum-habana 1.20 runs on transformers 4.55, which knows ``torch_dtype``, ``rope_theta`` and
``rope_scaling`` but not the ``dtype`` and ``rope_parameters`` that transformers 5 writes, and
would fall back to defaults without a word. transformers 5 reads the older keys as well, so the
older dialect is the one that is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from targets.base import Source
from targets.companions import portable_config

GAUDI_GENERATION_KEYS = frozenset(
    {
        "trim_logits",
        "static_shapes",
        "ignore_eos",
        "attn_softmax_bf16",
        "limit_hpu_graphs",
        "clear_hpu_graphs_cache",
        "reuse_cache",
        "bucket_size",
        "bucket_internal",
        "reduce_recompile",
        "use_flash_attention",
        "flash_attention_recompute",
        "flash_attention_causal_mask",
        "flash_attention_fast_softmax",
        "use_flex_attention",
        "use_fused_rope",
        "valid_sequence_lengths",
        "attn_batch_split",
        "decode_attn_batch_split",
        "logits_bf16",
    }
)
"""What ``GaudiGenerationConfig`` adds (optimum-habana, generation/configuration_utils.py)."""

GENERATION_KEYS = frozenset(
    {
        "max_length",
        "max_new_tokens",
        "min_length",
        "min_new_tokens",
        "early_stopping",
        "max_time",
        "stop_strings",
        "do_sample",
        "num_beams",
        "num_beam_groups",
        "use_cache",
        "cache_implementation",
        "cache_config",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "typical_p",
        "epsilon_cutoff",
        "eta_cutoff",
        "diversity_penalty",
        "repetition_penalty",
        "encoder_repetition_penalty",
        "length_penalty",
        "no_repeat_ngram_size",
        "bad_words_ids",
        "renormalize_logits",
        "forced_bos_token_id",
        "forced_eos_token_id",
        "remove_invalid_values",
        "exponential_decay_length_penalty",
        "suppress_tokens",
        "begin_suppress_tokens",
        "sequence_bias",
        "token_healing",
        "guidance_scale",
        "num_return_sequences",
        "pad_token_id",
        "bos_token_id",
        "eos_token_id",
        "transformers_version",
    }
)
"""Keys of a decoder's ``generation_config.json`` in transformers 4.55 and 5."""

REUSE_CACHE_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Families for which optimum-habana's ``generate`` allows ``reuse_cache``; bloom is not one."""

_TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")


def model_config(source: Source) -> dict[str, Any]:
    """config.json of the BF16 checkpoint, in the dialect that transformers 4 and 5 both read."""
    config = portable_config(source.raw_config)
    config.pop("dtype", None)
    config["torch_dtype"] = "bfloat16"
    config["tie_word_embeddings"] = source.config.tied
    parameters = config.pop("rope_parameters", None)
    if parameters is not None:
        scaling = {key: parameters[key] for key in parameters if key != "rope_theta"}
        scaled = scaling.get("rope_type", "default") != "default"
        config["rope_scaling"] = scaling if scaled else None
    config["rope_theta"] = source.config.rope.theta
    return config


def generation_settings(source: Source, original: Mapping[str, Any] | None) -> dict[str, Any]:
    """generation_config.json: the checkpoint's own settings, and what makes decoding static.

    ``static_shapes`` pads the inputs so that one captured graph serves every step,
    ``reuse_cache`` allocates the KV cache once at its full length and writes it in place, and
    ``trim_logits`` computes the head for the last token of the prompt only. The command line of
    run_generation.py overrides them; ``model.generate`` takes them from here.

    Args:
        original: generation_config.json of the checkpoint; None if it has none.
    """
    if original is None:
        known = {key: source.raw_config[key] for key in _TOKEN_KEYS if key in source.raw_config}
        settings = {key: value for key, value in known.items() if value is not None}
    else:
        settings = {key: original[key] for key in original if key in GENERATION_KEYS}
    settings["static_shapes"] = True
    settings["trim_logits"] = True
    if source.config.family in REUSE_CACHE_FAMILIES:
        settings["reuse_cache"] = True
    return settings


def deepspeed_checkpoints(weight_files: Sequence[str]) -> dict[str, Any]:
    """checkpoints.json as optimum-habana's ``write_checkpoints_json`` has it, names relative.

    Every rank reads the full shards and slices them, so there is one list whatever the number
    of cards.
    """
    return {"type": "ds_model", "checkpoints": list(weight_files), "version": 1.0}
