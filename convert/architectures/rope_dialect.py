"""What a config says about rotary position embedding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from convert.architectures.base import Rope
from convert.architectures.dialect import ConfigReader

DEFAULT_THETA = 10000.0
"""The base that transformers assumes where a config names none."""


def parse_rope(
    reader: ConfigReader, max_positions: int, default_theta: float = DEFAULT_THETA
) -> Rope:
    """What a config says in either dialect.

    The older one has ``rope_theta`` beside ``rope_scaling``; transformers 5 writes
    ``rope_parameters`` with the base inside.

    Raises:
        UnsupportedConfigError: A scaling that is not implemented, or only a part of each head
            is rotated.
        BrokenInputError: A value is missing, malformed, or said twice differently.
    """
    section = _section(reader)
    theta = _theta(reader, section, default_theta)
    for place in (reader, section):
        if place.number("partial_rotary_factor", 1.0) != 1.0:
            raise place.unsupported("partial_rotary_factor", "1: the whole head is rotated")
    kind = _kind(section)
    rope = _PARSERS[kind](reader, section, Rope(theta), max_positions)
    section.refuse_unread()
    return rope


def _section(reader: ConfigReader) -> ConfigReader:
    old, new = reader.section("rope_scaling"), reader.section("rope_parameters")
    if old and new and reader.raw("rope_scaling") != reader.raw("rope_parameters"):
        raise reader.broken("rope_scaling", "the same as rope_parameters, or only one of them")
    return old or new or ConfigReader({}, "rope_parameters")


def _theta(reader: ConfigReader, section: ConfigReader, default: float) -> float:
    outer = reader.number("rope_theta", default, above=1.0)
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
