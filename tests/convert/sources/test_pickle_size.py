from __future__ import annotations

import pickle
import time

import pytest

from convert.sources.pickle_size import check_pickle


def nested(levels: int) -> bytes:
    """A tuple of a tuple twice, of a tuple twice, ..."""
    body = b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(levels))
    return b"\x80\x02)q\x00" + body


def lists(levels: int) -> bytes:
    """Lists that grow after they were put into the memo, each by the one before it, twice."""
    made = b"".join(b"]q%c" % (level + 1) for level in range(levels))
    grown = b"".join(
        b"h%c(h%ch%ce" % (level + 1, level, level) if level else b"h\x01K\x01a"
        for level in range(levels)
    )
    return b"\x80\x02" + made + grown + b"."


@pytest.mark.parametrize("protocol", range(6))
def test_what_python_writes_is_no_more_than_it_is(protocol):
    shared = (1, 2)
    value = {"a": [shared, shared, {"b": (shared,)}], "c": 1.5, "d": {1, 2}, "e": None}
    check_pickle(pickle.dumps(value, protocol))


@pytest.mark.parametrize(
    "data", [nested(60) + b".", b"\x80\x02}" + nested(60) + b"K\x01s.", lists(60)]
)
def test_values_that_hold_each_other_are_refused_at_once(data):
    started = time.process_time()
    with pytest.raises(pickle.UnpicklingError, match="over and over"):
        check_pickle(data)
    assert time.process_time() - started < 1


def test_a_large_state_dict_is_no_more_than_it_is():
    tensor = b"h\x01(K\x01K\x02\x86tR"  # calls what is in the memo, as for every tensor
    items = b"".join(b"X\x08\0\0\0%08d" % number + tensor for number in range(5_000))
    check_pickle(b"\x80\x02}cos\nfspath\nq\x010(" + items + b"u.")


def test_a_few_levels_are_read():
    check_pickle(nested(10) + b".")


@pytest.mark.parametrize("data", [b"", b"h\x00.", b"\x80\x02\x86.", b"e.", b"]"])
def test_no_pickle_is_refused(data):
    with pytest.raises(ValueError, match="pickle"):
        check_pickle(data)
