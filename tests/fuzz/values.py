"""Values at which readers break: numbers at the ends of types, texts that are no names, and trees
of them.
"""

from __future__ import annotations

import json
import random
from typing import Any

INTEGERS = (
    0, 1, 2, 3, 7, 15, 16, 31, 32, 33, 64, 127, 128, 255, 256, 4096, 65535, 65536, 10_000, 10**6,
    2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -(2**63),
    10**30,
)  # fmt: skip
TEXTS = (
    "", "a", " ", "\0", ".", "..", "../x", "/etc/passwd", "C:\\x", "a/b", "a" * 300, "a" * 70_000,
    "\ufeff", "\u2028", "%s%n", "{}", "weight", "model.safetensors", "nan", "1e999", "F32", "BF16",
    "F16", "F64", "F4", "none", "llama", "bloom", "yarn", "linear", "gptq", "$A", "[PAD1]",
)  # fmt: skip
RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-0.0", "1e-320", "9" * 5000, '"\\ud800"', '"\\u0000"',
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 200_000, "9" * 4000,
    '{"a":1,"a":2}', "tru", "", ",", '"', "[1,", "\ud83d",
)  # fmt: skip
_MARK = "@raw-%d@"
_LONGEST = 200_000


def integer(rng: random.Random) -> int:
    """One at the end of something, or next to it."""
    return rng.choice(INTEGERS) + rng.choice((0, 0, 0, 1, -1))


def scalar(rng: random.Random) -> Any:
    """Anything that JSON has but containers."""
    kinds = (
        lambda: integer(rng),
        lambda: rng.choice(TEXTS),
        lambda: rng.choice((None, True, False)),
        lambda: rng.choice((0.0, 0.5, -1.5, 1e-45, 1e308, 1e30)),
        lambda: _MARK % rng.randrange(len(RAW)),
    )
    return rng.choice(kinds)()


def value(rng: random.Random) -> Any:
    """A scalar, or a small container."""
    kinds = (
        *(lambda: scalar(rng),) * 4,
        lambda: [],
        lambda: {},
        lambda: [scalar(rng) for _ in range(rng.randrange(4))],
        lambda: {str(rng.choice(TEXTS)): scalar(rng)},
    )
    return rng.choice(kinds)()


def changed_tree(rng: random.Random, tree: Any) -> Any:
    """A copy of a tree with a few places changed."""
    tree = json.loads(json.dumps(tree))
    if not isinstance(tree, (dict, list)):
        return value(rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(tree))
        if not places:
            return value(rng)
        _change(rng, places)
    return tree


def as_json(rng: random.Random, tree: Any) -> bytes:
    """The text of a tree, in which marks became what no library would write."""
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    for number, raw in enumerate(RAW):
        text = text.replace(f'"{_MARK % number}"', raw)
    return text.encode("utf-8", "surrogatepass")[:_LONGEST]


def _places(tree: Any) -> Any:
    stack = [tree]
    while stack:
        node = stack.pop()
        keys = node.keys() if isinstance(node, dict) else range(len(node))
        for key in keys:
            yield node, key
            if isinstance(node[key], (dict, list)):
                stack.append(node[key])


def _change(rng: random.Random, places: list[Any]) -> None:
    node, key = rng.choice(places)
    old = node[key]
    what = rng.randrange(9)
    if what == 0:
        del node[key]
    elif what == 1:
        other, there = rng.choice(places)
        copied = other[there] if there in _keys(other) else None
        node[key] = json.loads(json.dumps(copied))
    elif what == 2 and isinstance(node, dict):
        node[str(rng.choice((*TEXTS, rng.choice(places)[1])))] = json.loads(json.dumps(old))
    elif what == 3:
        node[key] = [old] * rng.choice((1, 2, 40))
    elif what == 4 and isinstance(old, int) and not isinstance(old, bool):
        node[key] = old + rng.choice((1, -1, old, -old, 8, 10**9))
    elif what == 5 and isinstance(node, dict):
        node[rng.choice(TEXTS)] = value(rng)
    elif what == 6:
        node[key] = integer(rng)
    else:
        node[key] = value(rng)


def _keys(node: Any) -> Any:
    return node.keys() if isinstance(node, dict) else range(len(node))
