"""How long it takes to encode: measured once per encoding, and scaled to the machine at hand.

Measured with Tricast's own kernels on two cores of an AMD EPYC with AVX-512, a checkpoint in BF16
of 1.17 billion weights in memory: processor time of a run beyond that of a run with a tiny model,
by weight; reading, encoding, writing and hashing together (`python -m bench.planned` measures it).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from passes.encodings import encoding

REFERENCE_OPERATIONS = 95e9
"""Of a float32 matrix product a second on one core of the machine that the rates are from."""


class Nanoseconds(NamedTuple):
    """Processor time a weight: as it is, and with scales that a text weights."""

    plain: float
    weighted: float


_RATES: Mapping[str, Nanoseconds] = {
    **dict.fromkeys(("bf16", "f16"), Nanoseconds(3.6, 3.6)),
    "f32": Nanoseconds(5.5, 5.5),
    "q8_0": Nanoseconds(3.2, 3.2),
    **dict.fromkeys(("int8", "int8_asym", "w8a8"), Nanoseconds(4, 4)),
    **dict.fromkeys(("fp8", "fp8_tensor"), Nanoseconds(6, 6)),
    **dict.fromkeys(("q4_0", "q4_1", "q5_0", "q5_1"), Nanoseconds(3.6, 6.4)),
    **dict.fromkeys(("int4", "int4_sym"), Nanoseconds(3.8, 6)),
    **dict.fromkeys(("nf4", "nf4_dq", "iq4_nl", "mxfp4"), Nanoseconds(6.1, 14)),
    **dict.fromkeys(("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_xs"), Nanoseconds(14, 17)),
}
"""Those of the shipped text of 128 tokens; it passes in the same time, which is counted in."""

_UNKNOWN = Nanoseconds(6, 12)


def nanoseconds(name: str) -> Nanoseconds:
    """Of an encoding, by its name or family; of one that other packages add, a guess."""
    return _RATES.get(name) or _RATES.get(encoding(name).family) or _UNKNOWN
