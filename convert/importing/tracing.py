"""From a module to the operators that it runs, for any batch and any number of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.errors import UnsupportedArchitectureError
from convert.graph import ATTENTION_MASK, BATCH, INPUT_IDS, POSITION_IDS, SEQUENCE, TOTAL_SEQUENCE
from convert.importing.skeleton import Skeleton
from convert.importing.traced_cache import StateOfItsOwnError
from convert.importing.traced_module import traced_module

_SIZES = {BATCH: 2, SEQUENCE: 7, TOTAL_SEQUENCE: 13}
"""Lengths of the traced example; none of them is kept."""

_FIXED_BELOW = 1 << 20
"""A trace that holds only for sequences shorter than this chose a branch by their length, unless
the model takes no longer ones.
"""

_SHORTEST = 3
"""`torch.export` says 2 of every axis, and 3 of one that is longer than another; a trace that asks
for more chose a branch, too.
"""

_LONGEST = ("max_position_embeddings", "max_target_positions", "n_positions", "max_seq_len")
"""Fields of configs that say how many positions there are."""


@dataclass(frozen=True)
class Trace:
    """A traced model.

    Args:
        program: As `torch.export` gives it.
        axes: Symbol in the program's shapes to name of the axis.
        prefix: What names of modules and parameters begin with in the program.
    """

    program: Any
    axes: Mapping[str, str]
    prefix: str


def trace(skeleton: Skeleton, *, remembers: bool = True) -> Trace:
    """Trace with a cache if it is asked for, and tokens and slots apart; a model that cannot be,
    without a cache, and then with as many slots as tokens.

    Raises:
        UnsupportedArchitectureError: In no way can it be traced.
    """
    ways = [(True, TOTAL_SEQUENCE)] if remembers else []
    ways += [(False, TOTAL_SEQUENCE), (False, SEQUENCE)]
    errors: list[UnsupportedArchitectureError] = []
    for cached, slots in ways:
        try:
            return _traced(skeleton, (BATCH, slots), cached)
        except StateOfItsOwnError:
            raise
        except UnsupportedArchitectureError as error:
            errors.append(error)
    raise errors[0]


def _traced(skeleton: Skeleton, mask_axes: tuple[str, str], remembers: bool) -> Trace:
    import torch

    axes = {
        INPUT_IDS: (BATCH, SEQUENCE),
        ATTENTION_MASK: mask_axes,
        POSITION_IDS: (BATCH, SEQUENCE),
    }
    example = {
        name: torch.zeros([_SIZES[axis] for axis in places], dtype=torch.int64, device="meta")
        for name, places in axes.items()
    }
    auto = torch.export.Dim.AUTO
    shapes = {name: dict.fromkeys(range(2), auto) for name in axes}
    wrapper = traced_module(skeleton.model, remembers=remembers)
    try:
        with torch.no_grad():
            program = torch.export.export(wrapper, (), example, dynamic_shapes=shapes, strict=False)
    except UnsupportedArchitectureError:
        raise
    except Exception as error:
        raise UnsupportedArchitectureError(
            f"{type(skeleton.model).__name__} cannot be traced", found=_reason(error)
        ) from error
    found = _axes(program, axes, skeleton)
    return Trace(program, found, "model.")


def _axes(program: Any, axes: Mapping[str, tuple[str, ...]], skeleton: Skeleton) -> dict[str, str]:
    """The symbol of each axis.

    Raises:
        UnsupportedArchitectureError: An axis has a fixed length, or is bounded.
    """
    found: dict[str, str] = {}
    for node in program.graph.nodes:
        if node.op != "placeholder" or node.name not in axes:
            continue
        for size, name in zip(node.meta["val"].shape, axes[node.name], strict=True):
            if isinstance(size, int) or not size.node.expr.is_Symbol:
                raise _fixed(skeleton, name, f"its length is {size}")
            found.setdefault(str(size.node.expr), name)
    longest = _longest(skeleton.model)
    for symbol, bounds in program.range_constraints.items():
        if str(symbol) not in found:
            continue
        axis = found[str(symbol)]
        if bounds.upper.is_Integer and bounds.upper < longest:
            raise _fixed(skeleton, axis, f"its length is at most {bounds.upper}")
        if bounds.lower > _SHORTEST:
            raise _fixed(skeleton, axis, f"its length is at least {bounds.lower}")
    return found


def _longest(model: Any) -> int:
    """The longest sequence that a trace has to hold for."""
    whole = model.config
    config = whole.get_text_config() if hasattr(whole, "get_text_config") else whole
    stated = [getattr(config, name, None) for name in _LONGEST]
    return min([_FIXED_BELOW, *(size for size in stated if isinstance(size, int) and size > 0)])


def _fixed(skeleton: Skeleton, axis: str, reason: str) -> UnsupportedArchitectureError:
    return UnsupportedArchitectureError(
        f"{type(skeleton.model).__name__} cannot be traced for any length",
        expected=f"a trace that holds whatever the length of {axis}",
        found=reason,
    )


def _reason(error: Exception) -> str:
    """The first lines that say something, on one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:3])[:400]}"
