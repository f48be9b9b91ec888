"""A machine with figures that are easy to reckon with."""

from __future__ import annotations

from typing import Any


def _figure(value: float, source: str = "https://example.org/data-sheet") -> dict[str, Any]:
    return {"value": value, "source": source}


MACHINE: dict[str, Any] = {
    "title": "a machine of four cards",
    "device": "card",
    "devices": 4,
    "memory": _figure(10e9),
    "bandwidth": _figure(1e12),
    "compute": {"bf16": _figure(1e14)},
    "links": {"bandwidth": _figure(1e11), "latency": _figure(1e-5)},
    "efficiency": {
        "bandwidth": _figure(0.5, "assumed: half"),
        "compute": _figure(0.25, "assumed: a quarter"),
        "links": _figure(0.5, "assumed: half"),
    },
    "operator": _figure(1e-6),
    "runtime": _figure(1e9),
}
