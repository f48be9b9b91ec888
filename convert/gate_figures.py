"""The figures of a gate's record under short names, for cards, comparisons and claims."""

from __future__ import annotations

from collections.abc import Mapping

from convert.manifest import GateRecord

_PARTS = ("overall", "decoded", "faithful")
_COUNTS = ("tokenizer", "chat")


def gate_figures(gate: GateRecord) -> dict[str, float]:
    """Figures by name, as ``overall.mean_kld``; those that could not be computed are left out.

    Means of KL divergences are in nats, ``top1`` is a share, ``weight_error`` the RMS of the worst
    tensor's error over its RMS; ``tokenizer.differing`` and ``chat.differing`` count texts.
    """
    result = gate.result or {}
    found: dict[str, float] = {}
    for part in _PARTS:
        figures = result.get(part)
        if isinstance(figures, Mapping):
            found |= {f"{part}.{name}": value for name, value in figures.items() if _is(value)}
    for part in _COUNTS:
        parity = result.get(part)
        if isinstance(parity, Mapping) and _is(parity.get("differing")) and parity.get("checked"):
            found[f"{part}.differing"] = parity["differing"]
    if gate.weight_error is not None:
        found["weight_error"] = gate.weight_error
    return found


def _is(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
