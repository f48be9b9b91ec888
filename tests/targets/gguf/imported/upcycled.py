"""A mixture of experts that speaks: a trained dense model whose MLP became experts, each a little
different, with a random router. Random logits are too flat for the gate to say much about them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.support.imported import original
from tests.targets.gguf.imported.models import config_of

TINY = Path(__file__).resolve().parents[4] / "golden" / "models" / "tiny-llama"

_SIZES: dict[str, Any] = {
    **{"hidden_size": 128, "intermediate_size": 384, "moe_intermediate_size": 384},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 32, "vocab_size": 1280},
    **{"num_hidden_layers": 5, "rms_norm_eps": 1e-5, "max_position_embeddings": 512},
    **{"tie_word_embeddings": True, "bos_token_id": 0},
    "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
}
_APART = 0.1
"""Relative difference of an expert's weights to those of the MLP that it was made of."""


def upcycle(model_type: str, folder: Path, **changes: Any) -> None:
    """Write a checkpoint with its tokenizer.

    Args:
        model_type: Of a mixture that otherwise computes what a Llama does.
        folder: Where to.
        changes: Of the config.
    """
    model = original(config_of(model_type, **{**_SIZES, **changes}))
    dense = load_file(TINY / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in dense:
                parameter.copy_(dense[name])
            elif parameter.dim() == 3:
                mlp = ".".join(name.split(".")[:3]) + ".mlp.{}_proj.weight"
                gate, up, down = (dense[mlp.format(part)] for part in ("gate", "up", "down"))
                whole = down if parameter.shape[1:] == down.shape else torch.cat((gate, up))
                for expert in parameter:
                    noise = torch.randn(whole.shape, generator=generator)
                    expert.copy_(whole * (1 + _APART * noise))
    model.to(torch.bfloat16).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(TINY / name, folder / name)
