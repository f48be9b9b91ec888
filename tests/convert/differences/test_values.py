"""Every difference of two JSON values is found, and applying them all gives the second."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from convert.differences.values import ABSENT, Change, changes, short

KEYS = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def apply(change, document):
    if not change.place:
        return change.after
    *path, last = change.place.split(".")
    place = document
    for step in path:
        place = place[int(step)] if isinstance(place, list) else place[step]
    key = int(last) if isinstance(place, list) else last
    if change.after is ABSENT:
        del place[key]
    else:
        place[key] = change.after
    return document


@settings(max_examples=60)
@given(VALUES, VALUES)
def test_the_changes_lead_from_one_to_the_other(one, other):
    found = list(changes(one, other))
    document = deepcopy(one)
    for change in found:
        document = apply(change, document)
    assert document == other
    assert not list(changes(one, deepcopy(one)))


def test_places_and_values_are_told():
    assert list(changes({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}, "c": 4})) == [
        Change("a.b.1", 2, 3),
        Change("c", ABSENT, 4),
    ]
    assert str(Change("a", 1, 2)) == "a: 1, now 2"
    assert list(changes(1, True)) == [Change("", 1, True)]
    assert len(short("x" * 200)) == 80
