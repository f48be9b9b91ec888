"""The choice of options is the best there is, within any budget."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.mixing_frontier import Frontier, Option

OPTIONS = st.lists(
    st.builds(Option, st.integers(1, 400), st.floats(0, 1, width=16)), min_size=1, max_size=4
)
ITEMS = st.lists(OPTIONS, min_size=1, max_size=4)


def totals(items, chosen):
    taken = [item[number] for item, number in zip(items, chosen, strict=True)]
    return sum(each.nbytes for each in taken), sum(each.cost for each in taken)


def everything(items):
    """Bytes and cost of all choices."""
    numbers = product(*(range(len(item)) for item in items))
    return [totals(items, chosen) for chosen in numbers]


@given(ITEMS, st.integers(0, 2000))
def test_no_choice_within_a_budget_costs_less(items, budget):
    found = Frontier(items).within_bytes(budget)
    possible = [cost for nbytes, cost in everything(items) if nbytes <= budget]
    if not possible:
        assert found is None
        return
    nbytes, cost = totals(items, found)
    assert nbytes <= budget
    assert cost == pytest.approx(min(possible), abs=1e-12)


@given(ITEMS, st.floats(0, 4))
def test_no_choice_within_a_cost_has_fewer_bytes(items, limit):
    found = Frontier(items).within_cost(limit)
    possible = [nbytes for nbytes, cost in everything(items) if cost <= limit]
    if not possible:
        assert found is None
        return
    nbytes, cost = totals(items, found)
    assert cost <= limit + 1e-12
    assert nbytes == min(possible)


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.builds(Option, st.integers(1, 10**9), st.floats(0, 1)), min_size=1, max_size=4),
        min_size=1,
        max_size=12,
    ),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_long_steps_exceed_no_budget_and_more_bytes_cost_no_more(items, one, other):
    frontier = Frontier(items, most_cells=1)
    most = sum(max(option.nbytes for option in item) for item in items)
    smaller, larger = sorted(
        int(frontier.fewest_bytes + share * (most - frontier.fewest_bytes))
        for share in (one, other)
    )
    found = [totals(items, frontier.within_bytes(budget)) for budget in (smaller, larger)]
    assert found[0][0] <= smaller
    assert found[1][0] <= larger
    assert found[1][1] <= found[0][1] + 1e-9


def test_all_bytes_buy_the_best():
    items = [[Option(10, 0.5), Option(30, 0.0), Option(20, 0.2)]] * 3
    assert Frontier(items).within_bytes(10**6) == [1, 1, 1]
    assert Frontier(items).within_bytes(30) == [0, 0, 0]
    assert Frontier(items).within_bytes(29) is None
