"""How long it takes to encode: measured once per encoding, and scaled to the machine at hand.

Measured with Tricast's own kernels on two cores of a Xeon with AVX-512, a checkpoint in BF16
of 1.17 billion weights in memory: processor time of a run beyond that of a run with a tiny model,
by weight; reading, encoding, writing and hashing together (`python -m bench.planned` measures it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from passes.encodings import encoding

REFERENCE_CONVERSIONS = 1.1e9
"""Numbers a second from bfloat16 to float32 on one core of the machine that the rates are from."""


class Nanoseconds(NamedTuple):
    """Processor time a weight: as it is, and with scales that a text weights."""

    plain: float
    weighted: float


_RATES: Mapping[str, Nanoseconds] = {
    **dict.fromkeys(("bf16", "f16"), Nanoseconds(4, 4)),
    "f32": Nanoseconds(5.5, 5.5),
    "q8_0": Nanoseconds(3.6, 3.6),
    **dict.fromkeys(("int8", "int8_asym", "w8a8"), Nanoseconds(4.8, 4.8)),
    **dict.fromkeys(("fp8", "fp8_tensor"), Nanoseconds(6, 6)),
    **dict.fromkeys(("q4_0", "q4_1", "q5_0", "q5_1"), Nanoseconds(4.1, 8.5)),
    **dict.fromkeys(("int4", "int4_sym"), Nanoseconds(4.4, 8.5)),
    **dict.fromkeys(("nf4", "nf4_dq", "iq4_nl", "mxfp4"), Nanoseconds(6.1, 14)),
    **dict.fromkeys(("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs"), Nanoseconds(7, 17)),
}
"""Those of the shipped text of 128 tokens; it passes in the same time, which is counted in."""

_UNKNOWN = Nanoseconds(6, 12)


def nanoseconds(name: str) -> Nanoseconds:
    """Of an encoding, by its name or family; of one that other packages add, a guess."""
    return _RATES.get(name) or _RATES.get(encoding(name).family) or _UNKNOWN
