"""int4 and int4_sym: four bits a weight, one scale for each group of a row."""

from __future__ import annotations

from passes.encodings.base import Encoding
from passes.encodings.integers import IntegerEncoding

DEFAULT_GROUP = 128


def int4(group: int = DEFAULT_GROUP) -> Encoding:
    """Unsigned codes and zero points: ``int4``, ``int4_g64``, ..."""
    return IntegerEncoding(_name("int4", group), 0, 15, group, int4)


def int4_sym(group: int = DEFAULT_GROUP) -> Encoding:
    """Signed codes: ``int4_sym``, ``int4_sym_g64``, ..."""
    return IntegerEncoding(_name("int4_sym", group), -8, 7, group, int4_sym)


def _name(family: str, group: int) -> str:
    return family if group == DEFAULT_GROUP else f"{family}_g{group}"
