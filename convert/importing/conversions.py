"""What transformers does with tensors while it loads them, done to weights that nobody has read.

A tensor that is made of several stays a list of these: nothing is put together in memory. See
``core_model_loading.py`` of the package for the operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from convert.errors import UnsupportedArchitectureError
from convert.expert_tensors import part_of
from convert.importing.derived_weights import TurnedWeight
from convert.importing.stacking import StackedWeight, renamed
from convert.weights import RowRange, RowRanges, Weight

Tensors = dict[str, list[Weight]]
"""Tensors by the pattern of names that they fit, or that they are a part of."""


def converted(
    operations: Sequence[Any],
    sources: Mapping[str, Sequence[Weight]],
    targets: Sequence[str],
    first: str,
) -> dict[str, Weight]:
    """The tensors that others become.

    Args:
        operations: Of transformers, in order.
        sources: By the pattern of names that they fit, in the order of the patterns.
        targets: Patterns of the results' names.
        first: Name of the first result.

    Raises:
        UnsupportedArchitectureError: An operation is not implemented.
    """
    tensors = {pattern: sorted(each, key=_natural) for pattern, each in sources.items()}
    for operation in operations:
        kind = type(operation).__name__
        step = _OPERATIONS.get(kind)
        made = step(operation, tensors, targets) if step is not None else None
        if made is None:
            names = [weight.name for each in sources.values() for weight in each]
            raise UnsupportedArchitectureError(
                "tensors of the checkpoint are combined in a way that is not implemented",
                expected=f"one of {', '.join(_OPERATIONS)} along an axis that is known",
                found=f"{operation} of {', '.join(names[:4])}",
            )
        tensors = made
    return dict(_named(tensors, targets, first))


def _merged(operation: Any, tensors: Tensors, targets: Sequence[str]) -> Tensors | None:
    """Tensors of each pattern along a new first axis."""
    if operation.dim != 0 or not _alike(tensors):
        return None
    return {
        _next(pattern, tensors, targets): [StackedWeight(each[0].name, tuple(each))]
        for pattern, each in tensors.items()
    }


def _joined(operation: Any, tensors: Tensors, targets: Sequence[str]) -> Tensors | None:
    """All tensors in the order of their patterns, one behind the other along an axis."""
    if len(targets) != 1:
        return None
    parts = [weight for each in tensors.values() for weight in each]
    if operation.dim == 0:
        return {targets[0]: [_below(parts)]}
    if operation.dim != 1 or any(len(weight.shape) != 3 for weight in parts):
        return None
    if len({weight.rows for weight in parts}) != 1:
        return None
    rows = (_below([_row(weight, number) for weight in parts]) for number in range(parts[0].rows))
    return {targets[0]: [StackedWeight(parts[0].name, tuple(rows))]}


def _cut(operation: Any, tensors: Tensors, targets: Sequence[str]) -> Tensors | None:
    """One tensor in equal parts."""
    parts = [weight for each in tensors.values() for weight in each]
    count = len(targets)
    if operation.dim != 0 or len(parts) != 1 or parts[0].rows % count:
        return None
    rows, (source,) = parts[0].rows // count, parts
    return {
        target: [RowRanges(source.name, (RowRange(source, at * rows, (at + 1) * rows),))]
        for at, target in enumerate(targets)
    }


def _turned(operation: Any, tensors: Tensors, targets: Sequence[str]) -> Tensors | None:
    """The last two axes of a tensor exchanged."""
    parts = [weight for each in tensors.values() for weight in each]
    if len(parts) != 1 or getattr(operation, "check_dims", False):
        return None
    (source,), axes = parts, {operation.dim0, operation.dim1}
    target = _next(next(iter(tensors)), tensors, targets)
    if len(source.shape) == 2 and axes in ({0, 1}, {-1, -2}):
        return {target: [TurnedWeight(source)]}
    if len(source.shape) == 3 and axes in ({1, 2}, {-1, -2}):
        rows = (TurnedWeight(_row(source, number)) for number in range(source.rows))
        return {target: [StackedWeight(source.name, tuple(rows))]}
    return None


def _interleaved(operation: Any, tensors: Tensors, targets: Sequence[str]) -> Tensors | None:
    """Rows 0, 2, 4, ... and then 1, 3, 5, ..., or the reverse; of each matrix along axis 1."""
    parts = [weight for each in tensors.values() for weight in each]
    if len(parts) != 1 or operation.dim not in (0, 1):
        return None
    (source,), inverse = parts, bool(operation.inverse)
    if operation.dim == 0:
        return {targets[0]: [_reordered(source, inverse=inverse)]}
    if len(source.shape) != 3:
        return None
    rows = (_reordered(_row(source, at), inverse=inverse) for at in range(source.rows))
    return {targets[0]: [StackedWeight(source.name, tuple(rows))]}


_OPERATIONS: Mapping[str, Callable[[Any, Tensors, Sequence[str]], Tensors | None]] = {
    "MergeModulelist": _merged,
    "Concatenate": _joined,
    "Chunk": _cut,
    "Transpose": _turned,
    "Interleave": _interleaved,
}


def _named(tensors: Tensors, targets: Sequence[str], first: str) -> list[tuple[str, Weight]]:
    """Each result under its name, which differs from the first one's in what is a target's."""
    found = []
    for target, (weight,) in tensors.items():
        name = first.replace(targets[0], target) if len(tensors) > 1 else first
        found.append((name, renamed(weight, name)))
    return found


def _next(pattern: str, tensors: Tensors, targets: Sequence[str]) -> str:
    return targets[0] if len(tensors) == 1 and len(targets) == 1 else pattern


def _alike(tensors: Tensors) -> bool:
    return all(len({weight.shape for weight in each}) == 1 for each in tensors.values())


def _below(parts: Sequence[Weight]) -> Weight:
    return RowRanges(parts[0].name, tuple(RowRange(each, 0, each.rows) for each in parts))


def _row(weight: Weight, number: int) -> Weight:
    if isinstance(weight, StackedWeight):
        return weight.parts[number]
    return part_of(weight, weight.name, number)


def _reordered(weight: Weight, *, inverse: bool) -> Weight:
    rows = weight.rows
    order = [*range(0, rows, 2), *range(1, rows, 2)]
    if inverse:
        order = [
            place
            for pair in zip(range(rows // 2), range(rows // 2, rows), strict=True)
            for place in pair
        ]
    return RowRanges(weight.name, tuple(RowRange(weight, row, row + 1) for row in order))


def _natural(weight: Weight) -> tuple[tuple[int, str], ...]:
    """Names in the order of the numbers in them."""
    parts = re.split(r"(\d+)", weight.name)
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)
