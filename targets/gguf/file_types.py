"""llama.cpp's types of files: names that stand for an encoding of each tensor."""

from __future__ import annotations

from collections.abc import Mapping

_TYPES = {
    **{name: name for name in ("q8_0", "q6_k", "q5_0", "q5_1", "q4_0", "q4_1", "q2_k")},
    **{"q2_k_s": "q2_k", "q3_k_s": "q3_k", "q3_k_m": "q3_k", "q3_k_l": "q3_k"},
    **{"q4_k_s": "q4_k", "q4_k_m": "q4_k", "q5_k_s": "q5_k", "q5_k_m": "q5_k"},
    **{"iq4_nl": "iq4_nl", "iq4_xs": "iq4_xs", "mxfp4_moe": "mxfp4"},
}

ALIASES: Mapping[str, str] = {"q3_k": "q3_k_m", "q4_k": "q4_k_m", "q5_k": "q5_k_m"}
"""Names that llama-quantize takes for others."""

MIXES: Mapping[str, str] = _TYPES | {name: _TYPES[meant] for name, meant in ALIASES.items()}
"""The encoding of most linear layers in each type."""

FALLBACKS: Mapping[str, str] = {
    **{"q2_k": "q4_0", "q3_k": "q4_0", "q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"},
    "iq4_xs": "iq4_nl",
    **{"nf4": "iq4_nl", "nf4_dq": "iq4_nl"},
}
"""What takes the place of an encoding with blocks of 256 where they do not divide the rows
(``tensor_type_fallback`` in llama.cpp's src/llama-quant.cpp); and of NF4, of any group, the type of
ggml that has sixteen uneven values, too."""

MIX_CANDIDATES = (
    *("q2_k", "q3_k", "iq4_xs", "iq4_nl", "q4_k", "q4_1", "q5_0", "q5_k", "q5_1", "q6_k"),
    *("q8_0", "bf16"),
)
"""What a mix found by measurement chooses from: all sizes, and of each the kinds that may be best
for some matrix. Q4_0 and MXFP4 err more than the non-linear levels of as many bits."""

_NUMBERS = {
    **{"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10},
    **{"q3_k_s": 11, "q3_k_m": 12, "q3_k_l": 13, "q4_k_s": 14, "q4_k_m": 15, "q5_k_s": 16},
    **{"q5_k_m": 17, "q6_k": 18, "q2_k_s": 21, "iq4_nl": 25, "iq4_xs": 30, "bf16": 32},
    "mxfp4_moe": 38,
}
_NEAREST = {"q3_k": "q3_k_s", "q4_k": "q4_k_s", "q5_k": "q5_k_s", "mxfp4": "mxfp4_moe"}


def number_of(asked: str | None, most: str) -> int:
    """What ``general.file_type`` says (``llama_ftype`` in llama.cpp's include/llama.h).

    Args:
        asked: The type, if the recipe names one.
        most: Encoding of most weights, for files of no type.
    """
    kind = ALIASES.get(asked or "", asked or "")
    return _NUMBERS[kind if kind in _NUMBERS else _NEAREST.get(most, most)]
