"""Small random transformers models with odd shapes, and their weights without a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures import architecture_of, expert_names
from convert.architectures.base import DecoderConfig
from convert.expert_tensors import expert_by_expert
from convert.weights import ArrayWeight, Weight

SMALL: dict[str, Any] = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
"""Sizes that no power of two divides; a test overrides what it is about."""


FEW_EXPERTS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 5},
    "qwen2_moe": {
        "num_experts": 6,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 28,
        "shared_expert_intermediate_size": 36,
    },
    "qwen3_moe": {
        "num_experts": 7,
        "num_experts_per_tok": 3,
        "moe_intermediate_size": 28,
        "norm_topk_prob": True,
    },
}
"""The same of mixtures of experts, of forms that hub models have."""


@dataclass(frozen=True)
class SmallModel:
    """A transformers model (float32, eager attention), with its config.json and weights."""

    torch_model: Any
    raw_config: dict[str, Any]
    weights: dict[str, Weight]

    @property
    def config(self) -> DecoderConfig:
        return architecture_of(self.raw_config).parse(self.raw_config)

    def graph(self) -> ir.Model:
        """The float graph."""
        return architecture_of(self.raw_config).build(self.config, self.weights)

    def save(self, folder: Path, **options: Any) -> Path:
        """Write the checkpoint: config.json and safetensors."""
        self.torch_model.save_pretrained(folder, **options)
        return folder

    def logits(
        self, ids: NDArray[np.int64], attention_mask: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Logits ``[batch, sequence, vocab]`` by the original, without a cache.

        Where ``attention_mask`` has zeros, a model that knows no padding runs each sequence
        alone; logits of padding are zero then.
        """
        import torch

        mask = np.ones_like(ids) if attention_mask is None else attention_mask
        if self.raw_config["model_type"] == "yuan" and not mask.all():
            logits = np.zeros((*ids.shape, self.config.vocab), np.float32)
            for row, real in enumerate(mask == 1):
                logits[row, real] = self.logits(ids[row : row + 1, real])[0]
            return logits
        with torch.no_grad():
            out = self.torch_model(
                input_ids=torch.from_numpy(ids),
                attention_mask=torch.from_numpy(mask),
                position_ids=torch.from_numpy(position_ids(mask)),
                use_cache=False,
            )
        return out.logits.numpy()


def small_model(model_type: str, seed: int = 0, **overrides: Any) -> SmallModel:
    """A random model of ``model_type`` (bloom, llama, mixtral, qwen2, ..., yuan).

    Weights are large enough for attention and logits to be far from uniform.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    own = FEW_EXPERTS.get(model_type, {})
    model = _untrained(model_type, {**SMALL, **own, **overrides})
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 and ("norm" in name or ".ln_" in name) and "weight" in name:
                parameter.uniform_(0.5, 1.5)
            else:
                parameter.normal_(0.0, 0.2)
    raw = model.config.to_diff_dict()
    raw["architectures"] = [type(model).__name__]
    tied = bool(raw.setdefault("tie_word_embeddings", model.config.tie_word_embeddings))
    weights, names = _weights(model, tied=tied), expert_names(raw)
    return SmallModel(model, raw, weights if names is None else expert_by_expert(weights, names))


def _untrained(model_type: str, settings: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if model_type == "yuan":
        from golden.yuan import YuanConfig, YuanForCausalLM

        del settings["num_key_value_heads"]
        given = {"rms_norm_eps": 1e-6, "tie_word_embeddings": False, **settings}
        return YuanForCausalLM(YuanConfig(**given)).eval()
    if model_type == "bloom":
        for key in ("intermediate_size", "num_key_value_heads", "max_position_embeddings"):
            settings.pop(key)
    config = AutoConfig.for_model(model_type, **settings)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def position_ids(attention_mask: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions as transformers' generate makes them: padding counts for nothing."""
    positions = attention_mask.cumsum(-1) - 1
    return np.where(attention_mask == 0, 1, positions)


def random_ids(batch: int, sequence: int, vocab: int, seed: int = 0) -> NDArray[np.int64]:
    """Random tokens ``[batch, sequence]``."""
    return np.random.default_rng(seed).integers(0, vocab, (batch, sequence), np.int64)


def _weights(model: Any, *, tied: bool) -> dict[str, Weight]:
    tensors = model.state_dict()
    return {
        name: ArrayWeight(name, tensor.numpy())
        for name, tensor in tensors.items()
        if not (tied and name == "lm_head.weight")
    }
