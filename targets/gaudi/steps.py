"""The operations of a program in order, and when each value is used for the last time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from targets.gaudi.operators import Operator

CACHE_PREFIX = "past_key_values."
PRESENT_PREFIX = "present."

Input = str | tuple[int, ...] | None
"""A value by name, fixed numbers, or nothing."""


@dataclass(frozen=True)
class Step:
    """One operation: what to call, with which inputs, and which values die afterwards."""

    operator: Operator
    attributes: Mapping[str, Any]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    last_uses: tuple[str, ...] = ()


def with_last_uses(steps: Sequence[Step], kept: set[str]) -> tuple[Step, ...]:
    """The steps that matter, each with the values that nothing reads after it.

    Args:
        steps: In order.
        kept: Values that are read after the last step.
    """
    needed = _needed(steps, kept)
    last_use: dict[str, int] = {}
    for position, step in enumerate(needed):
        for name in (*step.inputs, *step.outputs):
            if isinstance(name, str):
                last_use[name] = position
    dying: list[list[str]] = [[] for _ in needed]
    computed = {name for step in needed for name in step.outputs}
    for name, position in last_use.items():
        if name in computed and name not in kept:
            dying[position].append(name)
    return tuple(
        replace(step, last_uses=tuple(names)) for step, names in zip(needed, dying, strict=True)
    )


def _needed(steps: Sequence[Step], kept: set[str]) -> list[Step]:
    """Only what leads to a kept value or writes a cache."""
    wanted, needed = set(kept), []
    for step in reversed(steps):
        writes = any(name.startswith(PRESENT_PREFIX) for name in step.outputs)
        if writes or wanted & set(step.outputs):
            wanted |= {name for name in step.inputs if isinstance(name, str)}
            needed.append(step)
    return needed[::-1]
