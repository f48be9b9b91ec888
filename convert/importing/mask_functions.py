"""What a model's mask function says, as operators of the trace.

Transformers describes a mask as a function of batch, head, query and key, made of others by
``and_masks`` and ``or_masks``, see ``masking_utils.py`` of the package. Causal parts and sliding
windows become one operator each; every other part is called with all pairs at once, so that the
trace has what it computes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from convert.errors import UnsupportedArchitectureError
from convert.importing.operators import NAME

MaskFunction = Callable[..., Any]

_PROBED = 24
"""Queries and keys at which a mask's function is tried out, besides the window's own edge."""

_WAYS = {"and_masks": "logical_and", "or_masks": "logical_or"}
"""What makes a function of others, and the operator that does it."""


def mask_of(function: MaskFunction, attention_mask: Any, queries: Any, window: int | None) -> Any:
    """Where pairs may attend, bool ``[B, 1, S, T]``.

    Args:
        function: Of the slots of query and key.
        attention_mask: Which slots hold a token, ``[B, T]``.
        queries: S; they sit in the last slots.
        window: What the model says besides of how far a query sees.

    Raises:
        UnsupportedArchitectureError: A part of it cannot be called with all pairs at once.
    """
    import torch

    for size in (window, None):
        if is_causal(function, size):
            return torch.ops.tricast.mask(attention_mask, queries, size or 0)
    parts, way = _parts(function)
    if parts:
        made = [mask_of(part, attention_mask, queries, window) for part in parts]
        total = made[0]
        for each in made[1:]:
            total = getattr(torch, way)(total, each)
        return total
    return _called(function, attention_mask, queries)


def is_causal(function: MaskFunction, window: int | None) -> bool:
    """Whether a mask function says no more than ``query - window < key <= query``."""
    import torch
    from torch.utils._python_dispatch import _disable_current_modes

    if _holds_tensors(function):  # of the trace, which have no numbers
        return False
    edge = window or 0
    places = sorted({*range(_PROBED), *range(max(edge - 2, 0), edge + 3)})
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        first = torch.zeros((), dtype=torch.int64, device="cpu")
        for query in places:
            for key in places:
                pair = (first + query, first + key)
                try:
                    allowed = bool(function(first, first, *pair))
                except Exception:
                    return False
                inside = key <= query and (window is None or key > query - window)
                if allowed != inside:
                    return False
    return True


def _parts(function: MaskFunction) -> tuple[Sequence[MaskFunction], str]:
    """The functions that one is made of, and how; none if it is made of no others."""
    maker = str(getattr(function, "__qualname__", "")).partition(".")[0]
    if maker not in _WAYS:
        return (), ""
    lists = [each for each in _held(function) if _is_of_functions(each)]
    return (lists[0], _WAYS[maker]) if len(lists) == 1 else ((), "")


def _held(function: MaskFunction) -> Sequence[Any]:
    """What a function has from where it was made."""
    if not inspect.isfunction(function):
        return ()
    return tuple(inspect.getclosurevars(function).nonlocals.values())


def _is_of_functions(held: Any) -> bool:
    return isinstance(held, tuple) and bool(held) and all(map(callable, held))


def _holds_tensors(function: MaskFunction) -> bool:
    import torch

    inner = [part for each in _held(function) for part in _functions(each)]
    own = any(isinstance(each, torch.Tensor) for each in _held(function))
    return own or any(map(_holds_tensors, inner))


def _functions(held: Any) -> Sequence[MaskFunction]:
    return held if _is_of_functions(held) else (held,) if inspect.isfunction(held) else ()


def _called(function: MaskFunction, attention_mask: Any, queries: Any) -> Any:
    import torch

    batch, total = attention_mask.shape
    lengths, place = (batch, 1, queries, total), {"device": attention_mask.device}
    axes = [torch.arange(size, **place) for size in lengths]
    axes[2] = axes[2] + (total - queries)
    wide = [
        each.reshape([-1 if at == axis else 1 for at in range(4)]) for axis, each in enumerate(axes)
    ]
    try:
        return function(*wide).expand(lengths)
    except Exception as error:
        raise UnsupportedArchitectureError(
            "the model has a mask of its own",
            expected=f"a mask that {NAME} can ask about all pairs at once",
            found=f"mask function {getattr(function, '__qualname__', function)}",
        ) from error
