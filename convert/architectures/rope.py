"""Rotary position embedding: what a config says about it, and the inverse frequencies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import Rope
from convert.architectures.dialect import ConfigReader

DEFAULT_THETA = 10000.0
"""The base that transformers assumes where a config names none."""

Frequencies = NDArray[np.float32]


def inverse_frequencies(rope: Rope, head_dim: int) -> Frequencies:
    """Angle per position of each rotated pair.

    ``theta ** (-2i / head_dim)``, rescaled for longer contexts as ``rope.kind`` says: linear
    (divide all), llama3 (divide the slow ones, with a ramp between two wavelengths), yarn
    (divide the slow ones, with a ramp between two counts of rotations; arXiv 2309.00071).

    Returns:
        float32 ``[head_dim / 2]``.
    """
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    plain = _float32(1.0 / np.power(np.float32(rope.theta), exponents))
    if rope.kind == "default":
        return plain
    slowed = _float32(plain / np.float32(rope.factor))
    if rope.kind == "linear":
        return slowed
    keep = _llama3_share(rope, plain) if rope.kind == "llama3" else _yarn_share(rope, head_dim)
    return _float32(slowed * (1 - keep) + plain * keep)


def _llama3_share(rope: Rope, plain: Frequencies) -> Frequencies:
    """How much of the plain frequency stays: 1 for short wavelengths, 0 for long ones."""
    wavelengths = 2 * np.float32(math.pi) / plain
    rotations = np.float32(rope.original_max_positions) / wavelengths
    span = rope.high_freq_factor - rope.low_freq_factor
    share = (rotations - np.float32(rope.low_freq_factor)) / np.float32(span)
    return _float32(np.clip(share, 0, 1))


def _yarn_share(rope: Rope, head_dim: int) -> Frequencies:
    """How much of the plain frequency stays: 1 for fast pairs, 0 for slow ones."""

    def pair_that_turns(rotations: float) -> float:
        """Index of the pair that makes so many rotations within the original context."""
        positions_a_radian = rope.original_max_positions / (rotations * 2 * math.pi)
        return head_dim * math.log(positions_a_radian) / (2 * math.log(rope.theta))

    low = max(math.floor(pair_that_turns(rope.beta_fast)), 0)
    high = min(math.ceil(pair_that_turns(rope.beta_slow)), head_dim - 1)
    width = high - low or 0.001
    ramp = (np.arange(head_dim // 2, dtype=np.float32) - low) / np.float32(width)
    return _float32(1 - np.clip(ramp, 0, 1))


def _float32(values: NDArray[Any]) -> Frequencies:
    return np.asarray(values, np.float32)


def parse_rope(reader: ConfigReader, max_positions: int) -> Rope:
    """What a config says in either dialect.

    The older one has ``rope_theta`` beside ``rope_scaling``; transformers 5 writes
    ``rope_parameters`` with the base inside.

    Raises:
        UnsupportedConfigError: A scaling that is not implemented, or only a part of each head
            is rotated.
        BrokenInputError: A value is missing, malformed, or said twice differently.
    """
    section = reader.section("rope_scaling") or reader.section("rope_parameters")
    reader.raw("rope_parameters")
    section = section or ConfigReader({}, "rope_parameters")
    theta = _theta(reader, section)
    for place in (reader, section):
        if place.number("partial_rotary_factor", 1.0) != 1.0:
            raise place.unsupported("partial_rotary_factor", "1: the whole head is rotated")
    kind = _kind(section)
    rope = _PARSERS[kind](reader, section, Rope(theta), max_positions)
    section.refuse_unread()
    return rope


def _theta(reader: ConfigReader, section: ConfigReader) -> float:
    outer = reader.number("rope_theta", DEFAULT_THETA, above=1.0)
    inner = section.number("rope_theta", outer, above=1.0)
    if reader.raw("rope_theta") is not None and inner != outer:
        raise reader.broken("rope_theta", f"the base that rope_parameters states, {inner:g}")
    return inner


def _kind(section: ConfigReader) -> str:
    key = "rope_type" if section.raw("rope_type") is not None else "type"
    kind = section.text(key, "default")
    section.raw("type")
    if kind not in _PARSERS:
        raise section.unsupported(key, f"one of {', '.join(_PARSERS)}")
    return kind


def _default(reader: ConfigReader, section: ConfigReader, rope: Rope, positions: int) -> Rope:
    return rope


def _linear(reader: ConfigReader, section: ConfigReader, rope: Rope, positions: int) -> Rope:
    return replace(rope, kind="linear", factor=section.number("factor"))


def _llama3(reader: ConfigReader, section: ConfigReader, rope: Rope, positions: int) -> Rope:
    low = section.number("low_freq_factor")
    return replace(
        rope,
        kind="llama3",
        factor=section.number("factor"),
        low_freq_factor=low,
        high_freq_factor=section.number("high_freq_factor", above=low),
        original_max_positions=_original_positions(reader, section, positions),
    )


def _yarn(reader: ConfigReader, section: ConfigReader, rope: Rope, positions: int) -> Rope:
    original = _original_positions(reader, section, positions)
    factor = section.number("factor", positions / original)
    if not section.flag("truncate", True):
        raise section.unsupported("truncate", "true: the ramp's ends are whole pairs")
    return replace(
        rope,
        kind="yarn",
        factor=factor,
        original_max_positions=original,
        beta_fast=section.number("beta_fast", 32.0),
        beta_slow=section.number("beta_slow", 1.0),
        attention_factor=_yarn_attention_factor(section, factor),
    )


def _yarn_attention_factor(section: ConfigReader, factor: float) -> float:
    """``0.1 ln(factor) + 1`` unless stated, or the quotient of two such with their weights."""

    def temperature(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    both = section.raw("mscale") and section.raw("mscale_all_dim")
    section.raw("mscale_all_dim")
    if section.raw("attention_factor") is not None:
        return section.number("attention_factor")
    if both:
        above, below = section.number("mscale"), section.number("mscale_all_dim")
        return temperature(above) / temperature(below)
    return temperature(1.0)


def _original_positions(reader: ConfigReader, section: ConfigReader, positions: int) -> int:
    """The outer key wins, as in transformers; the context length is the last resort."""
    key = "original_max_position_embeddings"
    inner = section.integer(key, positions)
    return reader.integer(key, inner)


_Parser = Callable[[ConfigReader, ConfigReader, Rope, int], Rope]
_PARSERS: dict[str, _Parser] = {
    "default": _default,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
}
