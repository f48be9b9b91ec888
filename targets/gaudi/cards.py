"""The cards: memory, bandwidth, and the range of their FP8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GB = 1_000_000_000


@dataclass(frozen=True)
class Card:
    """One accelerator.

    Args:
        title: Its name in messages.
        memory: Bytes of HBM, as the vendor counts them (10⁹).
        bandwidth: Bytes a second of HBM.
        fp8_largest: Largest magnitude that its E4M3 holds; None if it has no FP8.
        fp8_flavor: What vLLM on Gaudi must read under ``fp8_dtype_flavor`` to leave stored
            weights as they are; None if it does so anyway.
    """

    title: str
    memory: int
    bandwidth: int
    fp8_largest: float | None
    fp8_flavor: str | None = None


CARDS: Mapping[str, Card] = {
    "gaudi1": Card("first-generation Gaudi", 32 * GB, 1_000 * GB, None),
    "gaudi2": Card("Gaudi2", 96 * GB, 2_450 * GB, 240.0, "float8_e4m3fnuz"),
    "gaudi3": Card("Gaudi3", 128 * GB, 3_700 * GB, 448.0),
}
"""By the names that recipes use. Sources: the vendor's data sheets; the range of Gaudi2's E4M3
is that of ``get_fullscale`` in neural-compressor."""
