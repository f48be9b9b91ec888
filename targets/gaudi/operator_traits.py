"""What an operator of an exported program does that its shapes do not show."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

_INDEXING = frozenset({"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"})
_CHANCE = ("dropout_p", "p")


def indexes_by_mask(node: fx.Node) -> bool:
    """Whether a tensor of booleans picks elements, so that how many depends on it."""
    name = str(node.target).split(".")[1] if "." in str(node.target) else ""
    if name not in _INDEXING or len(node.args) < 2:
        return False
    picking = (value.meta.get("val") for value in pytree.tree_leaves(node.args[1]) if value)
    return any(
        isinstance(value, Tensor) and value.dtype in (torch.bool, torch.uint8) for value in picking
    )


def draws_random_numbers(node: fx.Node, operator: torch._ops.OpOverload) -> bool:
    """Whether two runs may differ; dropout that drops nothing does not count."""
    if torch.Tag.nondeterministic_seeded not in operator.tags:
        return False
    given = arguments(node, operator)
    chances = [given[name] for name in _CHANCE if name in given]
    return given.get("train") is not False and (not chances or any(chances))


def makes_a_tensor(operator: torch._ops.OpOverload) -> bool:
    """Whether it makes a tensor from numbers alone: on the host, unless it names a device."""
    takes = any("Tensor" in str(argument.type) for argument in operator._schema.arguments)
    gives = any("Tensor" in str(result.type) for result in operator._schema.returns)
    return gives and not takes


def arguments(node: fx.Node, operator: torch._ops.OpOverload) -> dict[str, Any]:
    """What a node gives each argument of its operator, defaults included."""
    given: dict[str, Any] = {}
    for position, argument in enumerate(operator._schema.arguments):
        if position < len(node.args):
            given[argument.name] = node.args[position]
        elif argument.name in node.kwargs:
            given[argument.name] = node.kwargs[argument.name]
        elif argument.has_default_value():
            given[argument.name] = argument.default_value
    return given
