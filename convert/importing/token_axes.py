"""Where a value has the axis of the tokens, through every change of its shape.

Each axis is a product of factors in order, as elements lie in memory: ``[batch · sequence, 48]`` is
``((batch, sequence), (48,))``. Factors are never mixed up, so that tokens can be told from heads of
the same number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.graph import SEQUENCE


@dataclass(frozen=True, eq=False)
class Deal:
    """Rows in the order of something computed: a permutation of those that an axis had.

    Args:
        rows: The axis as it was.
    """

    rows: Axis


Factor = int | str | Deal
Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]


class TokensMixedError(Exception):
    """A value of one token follows from others, or it is not known to be of one."""


def has_tokens(axis: Axis) -> bool:
    """Whether an axis goes from token to token."""
    return any(
        has_tokens(each.rows) if isinstance(each, Deal) else each == SEQUENCE for each in axis
    )


def token_axis(axes: Axes) -> int | None:
    """The axis that goes from token to token; None if there is not just one."""
    places = [place for place, axis in enumerate(axes) if has_tokens(axis)]
    return places[0] if len(places) == 1 else None


def axes_of(value: ir.Value) -> Axes:
    """The axes that the shape of a value says it has.

    Raises:
        TokensMixedError: It has no shape.
    """
    if value.shape is None:
        raise TokensMixedError(f"{value.name} has no shape")
    return tuple(_factors(size) for size in value.shape)


def _factors(size: int | ir.SymbolicDim) -> Axis:
    if isinstance(size, int):
        return (size,) if size != 1 else ()
    text = str(size.value)
    parts = text.replace("(", "").replace(")", "").split("*")
    if any(not part.isidentifier() and not part.isdigit() for part in parts):
        return (text,)
    return tuple(int(part) if part.isdigit() else part for part in parts if part != "1")


def regrouped(axes: Axes, wanted: Axes) -> Axes:
    """The same factors in the same order, as other axes.

    Args:
        axes: Of a value.
        wanted: Sizes of the axes that it shall have, in any order of their factors.

    Raises:
        TokensMixedError: An axis would cut a factor that is no number.
    """
    waiting = [factor for axis in axes for factor in axis]
    found: list[Axis] = []
    for size in wanted:
        number, names = _size(size)
        taken: list[Factor] = []
        while number > 1 or names:
            if not waiting:
                raise TokensMixedError("an axis that nothing is left for")
            factor = waiting.pop(0)
            if isinstance(factor, int) and number % factor:
                if names or factor % number:
                    raise TokensMixedError("an axis that takes parts of two")
                waiting.insert(0, factor // number)
                factor = number
            own, own_names = _size((factor,))
            if number % own or any(name not in names for name in own_names):
                raise TokensMixedError("an axis cut into other than its tokens")
            number //= own
            for name in own_names:
                names.remove(name)
            taken.append(factor)
        found.append(tuple(taken))
    if any(factor != 1 for factor in waiting):
        raise TokensMixedError("an axis that is not taken")
    return tuple(found)


def _size(axis: Iterable[Factor]) -> tuple[int, list[str]]:
    """A number, and names that it is multiplied by."""
    numbers, names = [1], list[str]()
    for factor in axis:
        if isinstance(factor, int):
            numbers.append(factor)
        elif isinstance(factor, str):
            names.append(factor)
        else:
            number, others = _size(factor.rows)
            numbers.append(number)
            names += others
    return math.prod(numbers), names


def broadcast(operands: Sequence[Axes]) -> Axes:
    """The axes of what is computed element by element.

    Raises:
        TokensMixedError: Tokens meet others than themselves.
    """
    rank = max(map(len, operands))
    found: list[Axis] = []
    for place in range(-rank, 0):
        here = [axes[place] for axes in operands if len(axes) >= -place and axes[place]]
        kinds = {_key(axis) for axis in here}
        if len(kinds) > 1 and any(has_tokens(axis) for axis in here):
            raise TokensMixedError("tokens in different order")
        found.append(here[0] if here else ())
    return alone(tuple(found))


def alone(axes: Axes) -> Axes:
    """Axes of which one at most goes from token to token.

    Raises:
        TokensMixedError: There are more: it is of pairs of tokens.
    """
    if sum(map(has_tokens, axes)) > 1:
        raise TokensMixedError("pairs of tokens")
    return axes


def _key(axis: Axis) -> object:
    """Equal for axes whose tokens lie alike; numbers beside them may be parted otherwise."""
    return axis if has_tokens(axis) else _size(axis)[0]
