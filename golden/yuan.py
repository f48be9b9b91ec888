"""Yuan 2.0 in plain torch: transformers has no class for it, and the hub's code is never run.

Written from the description of the architecture alone, operator by operator, without a cache. It
is what converted models are compared with, so it shares nothing with the graph.

Shapes: B batch, S tokens, h hidden, H heads, D head_dim.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

FILTER_NORM_EPSILON = 1e-6


class YuanConfig(PreTrainedConfig):  # type: ignore[misc]
    """The keys of config.json, as they are."""

    model_type = "yuan"


class RmsNorm(nn.Module):
    """``x / sqrt(mean(x²) + ε) · weight``."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class LocalizedFilter(nn.Module):
    """Two convolutions over this token and the one before; zeros stand before the first."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(hidden, hidden // 2, (2, 1))
        self.conv2 = nn.Conv2d(hidden // 2, hidden, (2, 1))
        self.output_layernorm = RmsNorm(hidden, FILTER_NORM_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        image = x.transpose(1, 2).unsqueeze(-1)
        for convolution in (self.conv1, self.conv2):
            image = convolution(functional.pad(image, (0, 0, 1, 0)))
        filtered: Tensor = self.output_layernorm(image.squeeze(-1).transpose(1, 2) + x)
        return filtered


class Attention(nn.Module):
    """Queries and keys read the filtered input and are cut by head together."""

    def __init__(self, hidden: int, heads: int, theta: float) -> None:
        super().__init__()
        self.heads, self.head_dim, self.theta = heads, hidden // heads, theta
        self.lf_gate = LocalizedFilter(hidden)
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (
            nn.Linear(hidden, hidden, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, hidden = x.shape
        filtered = self.lf_gate(x)
        joined = torch.cat([self.q_proj(filtered), self.k_proj(filtered)], dim=-1)
        by_head = joined.view(batch, tokens, self.heads, 2 * self.head_dim).transpose(1, 2)
        query, key = (self._rotated(part) for part in by_head.chunk(2, dim=-1))
        value = self.v_proj(x).view(batch, tokens, self.heads, self.head_dim).transpose(1, 2)
        scores = query @ key.transpose(-1, -2) / self.head_dim**0.5
        future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).reshape(batch, tokens, hidden)
        out: Tensor = self.o_proj(mixed)
        return out

    def _rotated(self, x: Tensor) -> Tensor:
        """Turn the pairs (i, i + D/2) of ``x`` ``[B, H, S, D]`` by their angles."""
        half = self.head_dim // 2
        exponents = torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim
        frequencies = 1 / self.theta**exponents
        angles = torch.arange(x.shape[2])[:, None] * frequencies
        cos, sin = angles.cos(), angles.sin()
        first, second = x[..., :half], x[..., half:]
        return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Mlp(nn.Module):
    """``down(gate(x) · silu(up(x)))``."""

    def __init__(self, hidden: int, ffn: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, ffn, bias=False)
        self.up_proj = nn.Linear(hidden, ffn, bias=False)
        self.down_proj = nn.Linear(ffn, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.gate_proj(x) * functional.silu(self.up_proj(x)))
        return out


class Layer(nn.Module):
    """``h = x + attention(norm(x))``, then ``h + mlp(norm(h))``."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        hidden, epsilon = config.hidden_size, config.rms_norm_eps
        theta = getattr(config, "rope_theta", None) or 10000.0
        self.self_attn = Attention(hidden, config.num_attention_heads, theta)
        self.mlp = Mlp(hidden, config.intermediate_size)
        self.input_layernorm = RmsNorm(hidden, epsilon)
        self.post_attention_layernorm = RmsNorm(hidden, epsilon)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Trunk(nn.Module):
    """Embedding, layers, norm."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RmsNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.norm(x)
        return out


class YuanForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """The whole model, float32; loads the files of a checkpoint as transformers does."""

    config_class = YuanConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Trunk(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The embedding, for tying."""
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        """The head, for tying."""
        return self.lm_head

    def forward(
        self, input_ids: Tensor, labels: Tensor | None = None, **_: Any
    ) -> CausalLMOutputWithPast:
        """Logits ``[B, S, vocab]`` of whole sequences, and the loss if there are labels."""
        logits = self.lm_head(self.model(input_ids))
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=logits)
