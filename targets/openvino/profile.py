"""Where the time of an inference goes: linear layers, filtering, collectives, the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from passes.sharding.collectives import ALL_GATHER, ALL_REDUCE

LINEAR, FILTERING, COLLECTIVES, REST = "linear", "localized filtering", "collectives", "rest"

COUNTING = {"PERF_COUNT": "YES"}
"""Runtime option under which the runtime notes the time of every operator."""

_PRODUCTS = ("FullyConnected", "LLMMLP", "MatMul", "QKVProjection")
"""How the CPU plugin's kinds of operators begin that multiply by weights; those whose weights are
compressed end in ``Compressed``."""


def time_by_kind(operators: Iterable[Any]) -> Counter[str]:
    """Microseconds of each kind.

    Args:
        operators: What the runtime notes of an inference under `COUNTING`: ``node_name``,
            ``node_type`` and ``real_time``. The time of a collective holds the wait for others.
    """
    times: Counter[str] = Counter()
    for operator in operators:
        kind = kind_of(operator.node_name, operator.node_type)
        times[kind] += round(operator.real_time.total_seconds() * 1e6)
    return times


def kind_of(name: str, operator: str) -> str:
    """The kind of an operator of the compiled model, by its name, which says the module, and its
    kind in the runtime.
    """
    if name.endswith((f".{ALL_REDUCE}", f".{ALL_GATHER}")):
        return COLLECTIVES
    if ".lf_gate." in name:
        return FILTERING
    return LINEAR if operator.startswith(_PRODUCTS) else REST


def table(times: Mapping[str, int], inferences: int) -> str:
    """Milliseconds and share of each kind, for so many inferences."""
    total = sum(times.values())
    lines = [
        f"{kind:20} {times.get(kind, 0) / inferences / 1e3:10.3f} ms"
        f" {times.get(kind, 0) / max(total, 1):6.1%}"
        for kind in (LINEAR, FILTERING, COLLECTIVES, REST)
    ]
    return "\n".join([*lines, f"{'together':20} {total / inferences / 1e3:10.3f} ms"])
