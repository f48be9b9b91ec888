"""Where in a recipe's file its keys and values are, and keys that are there twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import yaml

Path = tuple[str | int, ...]
"""Keys and indices from the document to a value."""


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a text, both from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Marks:
    """Places of everything in a document.

    Args:
        places: By path; of a key's value, the place of the key.
        twice: Keys that a mapping has more than once, and the later place.
    """

    places: Mapping[Path, Mark]
    twice: Sequence[tuple[Path, Mark]]

    def of(self, path: Sequence[str | int]) -> Mark:
        """The place of a value, or of the nearest that holds it."""
        known = tuple(path)
        while known and known not in self.places:
            known = known[:-1]
        return self.places.get(known, Mark(1, 1))


def marks(text: str) -> Marks:
    """Find every place.

    Raises:
        yaml.YAMLError: The text is not YAML.
        RecursionError: It is nested too deep.
    """
    places: dict[Path, Mark] = {}
    twice: list[tuple[Path, Mark]] = []
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is not None:
        places[()] = _mark(root)
        for path, mark in islice(_walk(root, (), frozenset()), _MOST):
            if path in places:
                twice.append((path, mark))
            places[path] = mark
    return Marks(places, twice)


def _walk(node: yaml.Node, path: Path, above: frozenset[int]) -> Iterator[tuple[Path, Mark]]:
    """Places below a node. An alias of what holds it is left out, and so is what it holds."""
    if id(node) in above:
        return
    inner = above | {id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield (*path, key.value), _mark(key)
                yield from _walk(value, (*path, key.value), inner)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), _mark(value)
            yield from _walk(value, (*path, index), inner)


def _mark(node: yaml.Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


_MOST = 10_000
"""Places; aliases of aliases could be walked for ever."""
