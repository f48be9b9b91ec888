"""Numbers that a model makes tensors of while it runs.

On a device without memory such tensors forget their numbers. Here they are said by operators that
carry them: ``torch.tensor([2, 3])`` becomes two fills, side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MOST = 1 << 12
"""Numbers in a tensor; more of them are left to fail."""


def stating_numbers() -> Any:
    """A context in which models state numbers by operators."""
    import torch
    from torch.overrides import TorchFunctionMode

    makers = (torch.tensor, torch.as_tensor, torch.asarray)
    picks = (torch.Tensor.__getitem__,)

    class StatingNumbers(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
        ) -> Any:
            given = dict(kwargs or {})
            if func in makers and args and numbers_of(args[0]) is not None:
                return _stated(args[0], given)
            if func in picks:
                return func(args[0], _without_lists(args[1], args[0].device))
            return func(*args, **given)

    return StatingNumbers()


def numbers_of(given: Any) -> tuple[list[Any], list[int]] | None:
    """The numbers of nested lists in order, and the lengths of the lists; None for all else."""
    if type(given) in (bool, int, float):
        return [given], []
    if not isinstance(given, list | tuple) or not given:
        return None
    parts = [numbers_of(each) for each in given]
    found = [part for part in parts if part is not None]
    if len(found) != len(parts) or any(part[1] != found[0][1] for part in found):
        return None
    flat = [number for part in found for number in part[0]]
    return (flat, [len(parts), *found[0][1]]) if len(flat) <= _MOST else None


def _stated(given: Any, options: Mapping[str, Any]) -> Any:
    import torch

    found = numbers_of(given)
    assert found is not None
    numbers, shape = found
    dtype = options.get("dtype") or _usual_type(numbers)
    filled = [torch.full((), each, dtype=dtype, device=options.get("device")) for each in numbers]
    return torch.stack(filled).reshape(shape) if shape else filled[0]


def _usual_type(numbers: Sequence[Any]) -> Any:
    """What torch makes of numbers of these kinds."""
    import torch

    kinds = {type(each) for each in numbers}
    if float in kinds:
        return torch.get_default_dtype()
    return torch.int64 if int in kinds else torch.bool


def _without_lists(index: Any, device: Any) -> Any:
    """An index whose lists of places are tensors, or ranges where they are."""
    parts = index if isinstance(index, tuple) else (index,)
    if not any(isinstance(part, list) for part in parts):
        return index
    return tuple(_places(part, device) if isinstance(part, list) else part for part in parts)


def _places(places: Sequence[Any], device: Any) -> Any:
    whole = all(type(place) is int for place in places)
    steps = whole and list(places) == list(range(places[0], places[0] + len(places)))
    if steps and (places[0] >= 0 or places[-1] < 0):
        return slice(places[0], places[-1] + 1 or None)
    return _stated(places, {"device": device}) if numbers_of(places) is not None else places
