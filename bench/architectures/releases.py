"""Models as they were released: what their config.json says, and where that was read.

Each file of the folder beside this one holds the facts of one model. The small model that is tried
out has every key as released, but for sizes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.architectures.small_configs import Shrinking

_FOLDER = Path(__file__).parent / "released"

_QUANTIZED = ("quantization_config", "compression_config")
"""What says that a checkpoint is quantized, which the small one is not."""

_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = ("num_key_value_heads", "num_kv_heads")

_ROPE = ("rope_scaling", "rope_parameters")

_BY_PAIR = ("long_factor", "short_factor")
"""Lists with a number for each rotated pair of a head."""

_SECTIONS = "mrope_section"
"""Numbers of rotated pairs that share positions."""

_HEAD = 16
"""Elements of a head of a small model."""


@dataclass(frozen=True)
class Release:
    """A released model.

    Args:
        model: Its name on the hub.
        source: Where its config was read.
        config: config.json, or what is known of it.
    """

    model: str
    source: str
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The model type."""
        return str(self.config.get("model_type"))

    def small(self) -> dict[str, Any]:
        """config.json of a small model, otherwise as released."""
        return small_release(self.config)


@cache
def releases() -> Mapping[str, Release]:
    """All of them by name."""
    read = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.json")))
    return {each["model"]: Release(**each) for each in read}


def small_release(config: Mapping[str, Any]) -> dict[str, Any]:
    """A released config with small sizes that are to each other as they were."""
    kept = {key: value for key, value in config.items() if key not in _QUANTIZED}
    return _in_proportion(Shrinking().shrunk(kept), kept)


def _in_proportion(small: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(small)
    for key, value in config.items():
        if isinstance(value, Mapping) and key not in _ROPE:
            made[key] = _in_proportion(made[key], value)
    heads = next((key for key in _HEADS if isinstance(config.get(key), int)), None)
    for key in _KV_HEADS:
        if heads is not None and config.get(key) == config[heads]:
            made[key] = made[heads]
    for key in _ROPE:
        if isinstance(config.get(key), Mapping):
            made[key] = _small_rope(config[key], _share(config))
    return made


def _share(config: Mapping[str, Any]) -> float:
    """How much smaller heads become."""
    heads = next((config[key] for key in _HEADS if isinstance(config.get(key), int)), 1)
    size = config.get("head_dim") or int(config.get("hidden_size", _HEAD * heads)) // heads
    return _HEAD / int(size)


def _small_rope(rope: Mapping[str, Any], share: float) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in rope.items():
        if isinstance(value, Mapping):
            made[key] = _small_rope(value, share)
        elif key in _BY_PAIR:
            count = round(len(value) * share)
            made[key] = [value[place * len(value) // count] for place in range(count)]
        elif key == _SECTIONS:
            made[key] = [round(count * share) for count in value]
        else:
            made[key] = value
    return made
