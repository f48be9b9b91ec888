"""What a small config of a model type needs beyond what follows from the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OVERRIDES: Mapping[str, Mapping[str, Any]] = {
    "mamba2": {"num_heads": 8},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "bamba": {"attn_layer_indices": [1]},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
    "gemma3n_text": {
        "num_hidden_layers": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
        "num_kv_shared_layers": 2,
        "activation_sparsity_pattern": [0.95, 0.0, 0.95, 0.0],
        "intermediate_size": [96] * 4,
    },
}
"""By model type, fields of the config; a field that is `...` is left out."""
