"""How far an artifact may be from its original: defaults by encoding, and why.

Measured on the shipped prompts with SmolLM2-135M, small and so hurt more than larger models:

| float32 against           | mean KL     | top-1     | perplexity ratio |
|---------------------------|-------------|-----------|------------------|
| bfloat16 compute          | 0.001       | 98.6 %    | 1.000            |
| int8 a row                | 0.003       | 97.6 %    | 0.999            |
| 4 bits, groups of 32..192 | 0.29 - 0.40 | 72 - 77 % | 1.23 - 1.36      |
| RoPE base x 5, / 10       | 0.033, 0.085| 91, 86 %  | 1.03, 1.07       |
| Q and K in another order  | 2.1         | 34 %      | 8.5              |
| scales off by one         | 16 - 20     | 0 %       | over a million   |

So 16 and 8 bits may cost three to six times what they do here, and still a RoPE base that is off
by 5 fails. 4 bits may cost half as much again, which catches wrong orders and scales; a wrong
RoPE base is no larger than that. It is caught by the comparison with the original under the
artifact's own stored weights (`golden.record_stored`): there only the runtime's rounding is left,
0.001 to 0.01 (bfloat16 compute, 8-bit activations or caches), at every encoding.

FP8 has three bits of mantissa (E4M3), in the weights and in the inputs of the linear layers:

| SmolLM2-135M, linear layers in FP8       | mean KL       | top-1     | perplexity ratio |
|------------------------------------------|---------------|-----------|------------------|
| weights alone, a scale a row or a tensor | 0.015 - 0.018 | 92 - 94 % | 0.99 - 1.03      |
| inputs scaled by token                   | 0.026 - 0.030 | 90 - 92 % | 0.99 - 1.03      |
| inputs scaled by calibration             | 0.032 - 0.036 | 90 - 92 % | 1.02 - 1.06      |
| by token, but bfloat16: layers 0-2, 29   | 0.019         | 92 %      | 1.02             |
| by token, but bfloat16: down_proj        | 0.019         | 93 %      | 1.02             |
| by token, but bfloat16: both             | 0.013         | 93 %      | 1.01             |
| by calibration, but bfloat16: both       | 0.017         | 95 %      | 1.02             |

Ranges up to 240 and up to 448 differ by no more than chance, 0.004. tiny-llama and tiny-bloom lose
0.003 at most. The limit lies above what the weights alone cost and below a wrong RoPE base. A model
that loses more should keep in bfloat16 what outliers pass (in SmolLM2 the inputs of down_proj reach
3378 in layer 11; the median of all layers is 5.7) and its first and last layers.

Other widths follow from 4 bits: with one bit more the steps are half as long, so errors are half
as large and the divergence a quarter, as long as it is small. A type of file that mixes widths is
held to the limits of its lowest. The 2 and 3 bits of ggml's K formats lose so much that only gross
faults show in the divergence; what shows others is the comparison under the stored weights.

| ggml's types     | mean KL, limit | top-1, limit | stored matrix, limit |
|------------------|----------------|--------------|----------------------|
| Q6_K             | 0.6 / 16       | 90 %         | 0.06, as at 8 bits   |
| Q5_0, Q5_1, Q5_K | 0.6 / 4        | 80 %         | 0.18 / 2             |
| Q3_K             | 2, that of a wrong order   | 35 % | 0.18 x 2           |
| Q2_K             | 4              | 15 %         | 0.18 x 3.5           |

Error of a stored matrix, RMS over RMS, on SmolLM2-135M and tiny-llama: 0.002 for bfloat16 of
float32, 0.006 - 0.012 for 8 bits a row, 0.025 - 0.027 for FP8, 0.08 - 0.12 for 4 bits; with the
scales of the neighbouring group it is 0.17 - 0.64 at 8 and 0.20 - 1.5 at 4 bits. The limits stand
between.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.errors import RecipeError, UnsupportedEncodingError


@dataclass(frozen=True)
class Thresholds:
    """What an artifact must keep to pass the gate.

    Args:
        mean_kld: Largest mean KL(original || artifact) in nats.
        decoded_kld: The same over the tokens fed one by one, which a broken KV cache or a wrong
            position spoils while the prefill stays right. Looser: there are only a few.
        top1: Smallest fraction of positions where both rank the same token first.
        perplexity_ratio: Largest perplexity on the prompts, relative to the original's.
        faithful_kld: Largest mean KL between the artifact and the original run with the artifact's
            own stored weights, where the two are compared.
        weight_error: Largest error of a stored tensor: RMS of the difference over RMS of the
            original. The only figure that shows one matrix with wrong scales among many.
        differing_texts: How many parity texts the tokenizer may encode differently.
        differing_chats: How many chats the template may render differently.
    """

    mean_kld: float
    decoded_kld: float
    top1: float
    perplexity_ratio: float
    faithful_kld: float = 0.02
    weight_error: float = 0.005
    differing_texts: int = 0
    differing_chats: int = 0

    def with_overrides(self, overrides: Mapping[str, Any]) -> Thresholds:
        """These thresholds with some replaced.

        Raises:
            RecipeError: A key is unknown, or a value is not a number that makes sense.
        """
        names = {field.name: field.type for field in dataclasses.fields(self)}
        for key, value in overrides.items():
            if key not in names:
                raise RecipeError(
                    f"there is no threshold {key!r}", expected=f"one of {', '.join(names)}"
                )
            _check(key, value, whole=names[key] == "int")
        return dataclasses.replace(self, **overrides)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Thresholds:
        """Thresholds that are given in full; those on texts and chats may be left out.

        Raises:
            RecipeError: A key is unknown or missing, or a value makes no sense.
        """
        required = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
        missing = [name for name in required if name not in values]
        if missing:
            raise RecipeError(f"the thresholds lack {', '.join(missing)}")
        return _EXACT.with_overrides(values)

    def to_mapping(self) -> dict[str, Any]:
        """The thresholds by name."""
        return dataclasses.asdict(self)


_EXACT = Thresholds(mean_kld=0.01, decoded_kld=0.02, top1=0.95, perplexity_ratio=1.02)
_EIGHT_BIT = Thresholds(
    mean_kld=0.02, decoded_kld=0.04, top1=0.92, perplexity_ratio=1.04, weight_error=0.06
)
_FP8 = Thresholds(
    mean_kld=0.02, decoded_kld=0.04, top1=0.92, perplexity_ratio=1.04, weight_error=0.04
)
_W8A8 = Thresholds(
    mean_kld=0.03, decoded_kld=0.06, top1=0.92, perplexity_ratio=1.04, weight_error=0.06
)
_FOUR_BIT = Thresholds(
    mean_kld=0.6, decoded_kld=1.0, top1=0.6, perplexity_ratio=1.7, weight_error=0.18
)

_SIX_BIT = Thresholds(
    mean_kld=0.04, decoded_kld=0.08, top1=0.9, perplexity_ratio=1.06, weight_error=0.06
)
_FIVE_BIT = Thresholds(
    mean_kld=0.15, decoded_kld=0.25, top1=0.8, perplexity_ratio=1.17, weight_error=0.09
)
_THREE_BIT = Thresholds(
    mean_kld=2.0, decoded_kld=3.0, top1=0.35, perplexity_ratio=6.0, weight_error=0.36
)
_TWO_BIT = Thresholds(
    mean_kld=4.0, decoded_kld=5.0, top1=0.15, perplexity_ratio=40.0, weight_error=0.63
)

_FAMILIES = (
    (re.compile(r"(f32|f16|bf16)$"), _EXACT),
    (re.compile(r"(q8|int8)(_|$)"), _EIGHT_BIT),
    (re.compile(r"w8a8$"), _W8A8),
    (re.compile(r"fp8(_|$)"), _FP8),
    (re.compile(r"q6_k$"), _SIX_BIT),
    (re.compile(r"q5(_|$)"), _FIVE_BIT),
    (re.compile(r"(q4|iq4|int4|nf4|mxfp4)(_|$)"), _FOUR_BIT),
    (re.compile(r"q3_k(_|$)"), _THREE_BIT),
    (re.compile(r"q2_k(_|$)"), _TWO_BIT),
)


def thresholds_for(encoding: str) -> Thresholds:
    """Default thresholds for artifacts whose linear layers are stored in ``encoding``.

    Raises:
        RecipeError: No default is known for the encoding.
    """
    for names, thresholds in _FAMILIES:
        if names.match(encoding):
            return thresholds
    kin = _kin(encoding)
    if kin is not None:
        return thresholds_for(kin)
    raise RecipeError(
        f"there are no default thresholds for the encoding {encoding!r}",
        expected="f32, f16, bf16, fp8, or an encoding of 2 to 8 bits",
        remedy="give all thresholds in the recipe",
    )


def _kin(name: str) -> str | None:
    """The encoding whose thresholds one of another package takes."""
    from passes.encodings import encoding

    try:
        return encoding(name).judged_as
    except UnsupportedEncodingError:
        return None


def _check(key: str, value: Any, *, whole: bool) -> None:
    kinds = int if whole else (int, float)
    # Not a number compares false with everything, so it fails here too.
    sound = isinstance(value, kinds) and not isinstance(value, bool) and value >= 0
    if not sound or (key == "top1" and value > 1):
        kind = "a whole number" if whole else "a number"
        bounds = "from 0 to 1" if key == "top1" else "of at least 0"
        raise RecipeError(f"the threshold {key} cannot be {value!r}", expected=f"{kind} {bounds}")
