"""Cuts cover the axis, lie on multiples of the unit, and leave no rank without a part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.sharding.partition import partition, partition_heads

counts = st.integers(1, 12)


@given(counts, st.integers(1, 40), st.sampled_from([1, 8, 24, 64]), st.integers(1, 9))
def test_parts_are_whole_grains_and_as_equal_as_blocks_allow(grain, grains, block, ranks):
    length = grain * grains
    found = partition(length, ranks, grain=grain, block=block)
    if grains < ranks:
        assert found is None
        return
    assert found is not None
    bounds = [0, *(last for _, last in found.ranges)]
    assert [first for first, _ in found.ranges] == bounds[:-1]
    assert bounds[-1] == length
    assert all(bound % found.unit == 0 for bound in bounds[:-1])
    assert found.unit % grain == 0
    sizes = [last - first for first, last in found.ranges]
    assert min(sizes) > 0
    assert max(sizes) - min(sizes) < 2 * found.unit


@pytest.mark.parametrize(
    ("length", "ranks", "block", "sizes", "unit"),
    [
        (32768, 4, 64, [8192] * 4, 64),
        (192, 2, 64, [64, 128], 64),
        (72, 2, 64, [64, 8], 64),
        (72, 3, 64, [32, 32, 8], 32),
        (5, 4, 64, [1, 1, 1, 2], 1),
    ],
)
def test_blocks_stay_whole_where_every_rank_can_have_one(length, ranks, block, sizes, unit):
    found = partition(length, ranks, block=block)
    assert [last - first for first, last in found.ranges] == sizes
    assert found.unit == unit


@given(counts, counts, st.integers(1, 9), st.sampled_from([4, 20, 64]), st.sampled_from([1, 64]))
def test_every_rank_has_queries_and_just_their_keys(kv_heads, group, ranks, width, block):
    heads = kv_heads * group
    found = partition_heads(heads, kv_heads, ranks, width=width, block=block)
    if found is None:
        assert kv_heads < ranks
        assert kv_heads * (group + 1) > heads / ranks
        return
    assert [last for _, last in found.queries[:-1]] == [first for first, _ in found.queries[1:]]
    assert (found.queries[0][0], found.queries[-1][1]) == (0, heads)
    for (first, last), (key, key_end) in zip(found.queries, found.keys, strict=True):
        assert last > first
        assert (key, key_end) == (first // group, -(-last // group))
        # What a rank has is grouped attention by itself.
        assert key_end - key == 1 or (first % group, last % group) == (0, 0)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "ranks", "queries", "keys"),
    [
        (64, 8, 4, [16, 16, 16, 16], [2, 2, 2, 2]),
        (8, 2, 4, [2, 2, 2, 2], [1, 1, 1, 1]),
        (12, 3, 4, [4, 4, 2, 2], [1, 1, 1, 1]),
        (6, 3, 2, [2, 4], [1, 2]),
    ],
)
def test_heads_of_each_rank(heads, kv_heads, ranks, queries, keys):
    found = partition_heads(heads, kv_heads, ranks)
    assert [last - first for first, last in found.queries] == queries
    assert [last - first for first, last in found.keys] == keys


def test_heads_are_cut_where_the_next_layer_has_whole_blocks():
    """Heads of 32 columns: only every other cut is at a multiple of 64."""
    found = partition_heads(6, 6, 2, width=32, block=64)
    assert found.queries == ((0, 2), (2, 6))
    assert found.unit == 2


def test_fewer_heads_than_ranks():
    assert partition_heads(3, 1, 4) is None
    assert partition_heads(6, 3, 7) is None
