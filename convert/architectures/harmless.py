"""Keys of config.json that do not change what a decoder computes."""

from __future__ import annotations

from typing import Any

_BOOKKEEPING = """
_attn_implementation _attn_implementation_autoset _attn_implementation_internal _commit_hash
_experts_implementation _flash_attn_2_enabled _name_or_path architectures attn_implementation
finetuning_task id2label is_decoder is_llama_config label2id num_labels
output_attentions output_hidden_states output_scores prefix problem_type return_dict
task_specific_params torchscript transformers.js_config transformers_version unsloth_fixed
unsloth_version use_cache
"""

_STORAGE = "dtype torch_dtype use_bfloat16"

_TRAINING = """
attention_dropout attention_probs_dropout_prob attn_pdrop embd_pdrop gradient_checkpointing
hidden_dropout hidden_dropout_prob initializer_range neftune_noise_alpha resid_pdrop
tf_legacy_loss
"""

_TOKENIZER = """
bos_token_id decoder_start_token_id eos_token_id mask_token_id max_sequence_length
model_max_length pad_token_id
sep_token_id tokenizer_class tokenizer_model_max_length unk_token_id
"""

_GENERATION = """
bad_words_ids begin_suppress_tokens cache_implementation diversity_penalty do_sample
early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty
forced_bos_token_id forced_eos_token_id length_penalty max_length max_new_tokens min_length
no_repeat_ngram_size num_beam_groups num_beams num_return_sequences remove_invalid_values
repetition_penalty return_dict_in_generate suppress_tokens temperature top_k top_p typical_p
"""

# Both cut a product into pieces that are put together again: the sum is the same.
_EXECUTION = "chunk_size_feed_forward pretraining_tp"

HARMLESS_KEYS: frozenset[str] = frozenset(
    " ".join((_BOOKKEEPING, _STORAGE, _TRAINING, _TOKENIZER, _GENERATION, _EXECUTION)).split()
)

NEUTRAL_VALUES: dict[str, Any] = {
    "embedding_multiplier": 1.0,
    "logit_scale": 1.0,
    "logits_scaling": 1.0,
    "num_experts": 0,
    "num_local_experts": 0,
    "residual_multiplier": 1.0,
}
"""Keys of other architectures, with the value at which they change nothing."""
