"""Cuts 0 = c₀ ≤ c₁ ≤ … ≤ c_N = n of an axis among N ranks, on multiples of a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from convert.weight_views import Range


@dataclass(frozen=True)
class Partition:
    """What each rank holds of an axis.

    Args:
        ranges: One for each rank.
        unit: Every cut is a multiple of it.
    """

    ranges: tuple[Range, ...]
    unit: int


def partition(length: int, ranks: int, *, grain: int = 1, block: int = 1) -> Partition | None:
    """Cut an axis into parts as equal as the unit allows; none is empty.

    Args:
        length: Of the axis.
        ranks: Parts.
        grain: What must stay together; divides ``length``.
        block: What should stay together: cuts lie on its multiples if every rank gets one, or
            else on those of its half, its quarter and so on.

    Returns:
        None if there are fewer grains than ranks.
    """
    if length // grain < ranks:
        return None
    while -(-length // math.lcm(grain, block)) < ranks:
        block //= 2
    unit = math.lcm(grain, block)
    units = -(-length // unit)
    cuts = [min(length, units * rank // ranks * unit) for rank in range(ranks + 1)]
    return Partition(tuple(pairwise(cuts)), unit)


@dataclass(frozen=True)
class Heads:
    """What each rank holds of an attention: ranges of query heads and of key-value heads."""

    queries: tuple[Range, ...]
    keys: tuple[Range, ...]
    unit: int
    """Every cut is at a multiple of so many query heads."""


def partition_heads(
    heads: int, kv_heads: int, ranks: int, *, width: int = 1, block: int = 1
) -> Heads | None:
    """Cut grouped-query attention, so that each rank's part is one, too.

    With at least as many key-value heads as ranks these are cut, and the queries with them. With
    fewer, each of them goes to several ranks, which share its queries.

    Args:
        heads: Query heads.
        kv_heads: Key-value heads, a divisor of ``heads``.
        ranks: Parts.
        width: Columns of a query head in the linear layer that reads the result.
        block: Columns there that should stay together.

    Returns:
        None if there are fewer heads than ranks.
    """
    group = heads // kv_heads
    if kv_heads >= ranks:
        together = block // math.gcd(block, group * width)
        cut = partition(kv_heads, ranks, block=together)
        assert cut is not None
        whole = tuple((first * group, last * group) for first, last in cut.ranges)
        return Heads(whole, cut.ranges, cut.unit * group)
    owners = partition(ranks, kv_heads)
    assert owners is not None
    together = block // math.gcd(block, width)
    queries: tuple[Range, ...] = ()
    keys: tuple[Range, ...] = ()
    unit = group
    for head, (first, last) in enumerate(owners.ranges):
        shared = partition(group, last - first, block=together)
        if shared is None:
            return None
        unit = math.gcd(unit, shared.unit)
        queries += tuple((head * group + a, head * group + b) for a, b in shared.ranges)
        keys += ((head, head + 1),) * (last - first)
    return Heads(queries, keys, unit)
