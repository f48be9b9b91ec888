from __future__ import annotations

import time

import pytest
import yaml

from convert.bounded_yaml import read_yaml

BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
MERGES = "a0: &a0 {a: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)
)


def test_what_people_write_is_read_as_ever():
    text = """
name: a
when: 2024-01-01
list: [1, 2.5, true, null, .inf, 0x10, -3]
base: &base {a: 1}
more: {<<: *base, b: [*base]}
"""
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml("") is None


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        MERGES,
        "a: &a [*a]",
        "a: " + "[" * 5000 + "]" * 5000,
        "a: " + "[1, " * 40_000,
        "a: 9" + "9" * 5000,
        "a: 0x" + "f" * 5000,
        "a: !!int x",
        "a: !!bool maybe",
        "a: !!timestamp x",
        "a: 2001-99-99",
        "a: !!binary aGk=",
        "a: !!set {b}",
        "a: !!python/object/apply:os.getcwd []",
        "a: 0b_",
        "a: [",
        "a: " + "[" * 120_000,
        "a: " + "{a: " * 30_000,
        "- " * 60_000,
        "a: 1\n---\nb: 2",
        "a: \0",
    ],
    ids=lambda text: text[:30],
)
def test_what_nobody_writes_is_refused_at_once(text):
    started = time.process_time()
    with pytest.raises(yaml.YAMLError) as refused:
        read_yaml(text)
    assert str(refused.value)
    assert time.process_time() - started < 2


def test_the_place_of_a_bomb_is_named():
    with pytest.raises(yaml.YAMLError, match="more than 50000 values") as refused:
        read_yaml(BOMB)
    assert "line 15" in str(refused.value)
