"""Reads YAML that anybody may have written: nothing in it can take long, or much memory.

YAML's aliases let a few lines stand for billions of values; its merges and its depth are no better.
What is more than a document for people would be is refused, and so are values that JSON has not.
"""

from __future__ import annotations

from typing import Any

import yaml

_MOST_CHARACTERS = 1 << 17
_MOST_VALUES = 50_000
_DEEPEST = 64
_LARGEST = 1 << 63
_PLAIN = frozenset(
    f"tag:yaml.org,2002:{kind}"
    for kind in ("null", "bool", "int", "float", "str", "seq", "map", "merge", "value", "timestamp")
)
# What PyYAML raises for scalars that are not what their tag says, besides its own errors.
_OF_SCALARS = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class _Loader(yaml.SafeLoader):
    """As its base, without whole numbers that no file format could hold, and without depth."""

    def fetch_flow_collection_start(self, kind: type[yaml.Token]) -> None:
        """Begin a list or a mapping in brackets; each level makes every token slower to read."""
        if self.flow_level >= _DEEPEST:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(kind)

    def bounded_integer(self, node: yaml.ScalarNode) -> int:
        """A whole number."""
        value = int(self.construct_yaml_int(node))
        if not -_LARGEST <= value < 2 * _LARGEST:
            raise _refusal(node, "a whole number of more than 64 bits")
        return value


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.bounded_integer)


def read_yaml(text: str) -> Any:
    """The one document of a text.

    Raises:
        yaml.YAMLError: It is not YAML, or more than anybody would write by hand.
    """
    if len(text) > _MOST_CHARACTERS:
        raise yaml.YAMLError(f"more than {_MOST_CHARACTERS} characters")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _values(root, {})
        return loader.construct_document(root)
    except RecursionError:
        raise yaml.YAMLError("nested too deep") from None
    except _OF_SCALARS as error:
        raise yaml.YAMLError(f"a value is not what it is called: {error}"[:200]) from error


def _values(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node stands for, those of its aliases counted as often as they are used.

    Args:
        known: What is counted already; None for nodes that hold this one.
    """
    if id(node) in known:
        counted = known[id(node)]
        if counted is None:
            raise _refusal(node, "an alias of what holds it")
        return counted
    if node.tag not in _PLAIN:
        raise _refusal(node, f"a value of the type {node.tag!r}")
    known[id(node)] = None
    count = 1
    if isinstance(node, yaml.SequenceNode):
        count += sum(_values(each, known) for each in node.value)
    elif isinstance(node, yaml.MappingNode):
        count += sum(_values(each, known) for pair in node.value for each in pair)
    if count > _MOST_VALUES:
        raise _refusal(node, f"more than {_MOST_VALUES} values")
    known[id(node)] = count
    return count


def _refusal(node: yaml.Node, what: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=f"{what} is not read", problem_mark=node.start_mark)
