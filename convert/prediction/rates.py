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
    "f32": Nanoseconds(6, 6),
}
_UNKNOWN = Nanoseconds(6, 12)


def nanoseconds(name: str) -> Nanoseconds:
    """Of an encoding, by its name or family."""
    return _RATES.get(name) or _RATES.get(encoding(name).family) or _UNKNOWN
