"""A model of transformers with random weights, saved as a checkpoint, and what it computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.architectures.fusion import rotates
from bench.architectures.small_configs import VOCAB, part_for, special_ids

_SEED = 0
_TOKENS = 11
_MATRIX = 2
_PADDED = 4
"""Of the first sequence, in the batch that has padding on its left."""


@dataclass(frozen=True)
class Original:
    """What artifacts are held to.

    Args:
        name: Of the class.
        ids: ``[2, S]``.
        logits: ``[2, S, vocab]``.
        padded_ids: As ``ids``, the first sequence without its first tokens.
        padding: How many tokens that are.
        short_logits: ``[S - padding, vocab]`` of the first sequence without them, alone.
        rotates: Whether queries and keys are rotated.
    """

    name: str
    ids: NDArray[np.int64]
    logits: NDArray[np.float32]
    padded_ids: NDArray[np.int64]
    padding: int
    short_logits: NDArray[np.float32]
    rotates: bool

    @property
    def sigma(self) -> float:
        """Standard deviation of the logits."""
        return float(self.logits.std())


def make_original(config: Any, name: str, folder: Path) -> Original:
    """Save a small model below a folder, every weight random, norms and biases too.

    Args:
        config: Of the model, or one that has it as a part.
        name: Of its class.
        folder: Where its checkpoint will be.
    """
    model = _random_model(config, name)
    model.save_pretrained(folder)
    usual = sorted(set(range(VOCAB)) - special_ids(model.config))
    ids = np.random.default_rng(_SEED).choice(usual, (2, _TOKENS)).astype(np.int64)
    padded = ids.copy()
    padded[0, :_PADDED] = getattr(model.config.get_text_config(), "pad_token_id", None) or 0
    return Original(
        type(model).__name__,
        ids,
        _logits(model, ids),
        padded,
        _PADDED,
        _logits(model, ids[:1, _PADDED:])[0],
        rotates(model),
    )


def _random_model(whole: Any, name: str) -> Any:
    import torch
    import transformers

    model_class = getattr(transformers, name)
    config = part_for(model_class, whole)
    for part in {id(each): each for each in (config, config.get_text_config())}.values():
        part._experts_implementation = "eager"
    torch.manual_seed(_SEED)
    options = {"dtype": torch.float32, "attn_implementation": "eager"}
    model = model_class._from_config(config, **options).eval()
    with torch.no_grad():
        for tensor in _trained(model):
            noise = torch.randn_like(tensor)
            if tensor.dim() < _MATRIX:
                tensor.add_(0.1 * noise)
            else:
                tensor.copy_(1.5 * noise * tensor.shape[-1] ** -0.5)
    return model


def _trained(model: Any) -> list[Any]:
    """Each stored tensor of floats once; not those that are tables by definition."""
    tables = {each.data_ptr() for each in model.parameters() if not each.requires_grad}
    stored = {each.data_ptr(): each for each in model.state_dict().values() if each.numel()}
    floats = {place: each for place, each in stored.items() if each.is_floating_point()}
    return [each for place, each in floats.items() if place not in tables]


def _logits(model: Any, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    import torch

    mask = torch.ones(*ids.shape, dtype=torch.int64)
    with torch.no_grad():
        logits = model(torch.tensor(ids), attention_mask=mask, use_cache=False).logits
    array: NDArray[np.float32] = logits.numpy()
    return array
