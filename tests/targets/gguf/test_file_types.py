"""Types of files have llama.cpp's numbers, and everything in them is stored by this target."""

from __future__ import annotations

import gguf
import pytest

from passes.encodings import encoding
from targets.gguf.file_types import ALIASES, FALLBACKS, MIX_CANDIDATES, MIXES, number_of
from targets.gguf.target import GgufTarget

ODD = 7


@pytest.mark.parametrize("name", [*MIXES, "bf16", "f16"])
def test_a_type_has_its_number(name: str) -> None:
    kind = gguf.LlamaFileType[f"MOSTLY_{ALIASES.get(name, name).upper()}"]
    assert number_of(name, "f32") == kind


@pytest.mark.parametrize(
    ("most", "named"),
    [
        ("f32", "ALL_F32"),
        ("q8_0", "MOSTLY_Q8_0"),
        ("q4_k", "MOSTLY_Q4_K_S"),
        ("q3_k", "MOSTLY_Q3_K_S"),
        ("mxfp4", "MOSTLY_MXFP4_MOE"),
    ],
)
def test_a_file_of_no_type_has_the_number_of_what_it_is_most(most: str, named: str) -> None:
    assert number_of(None, most) == gguf.LlamaFileType[named]


def test_what_types_and_fallbacks_name_is_stored() -> None:
    named = {*MIXES.values(), *FALLBACKS.values(), *MIX_CANDIDATES}
    assert named <= set(GgufTarget.encodings)


def test_a_fallback_has_smaller_blocks_and_no_fewer_bits() -> None:
    for name, other in FALLBACKS.items():
        if name not in GgufTarget.encodings:
            continue
        assert encoding(name).fit(32) is None
        fitting = encoding(other)
        assert fitting.fit(32) is fitting
        assert fitting.bits_per_weight(256) >= encoding(name).bits_per_weight(256)
        assert fitting.fit(ODD) is None
