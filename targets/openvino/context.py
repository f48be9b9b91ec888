"""What lowering one graph keeps in hand: the runtime's node for each value, and their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import onnx_ir as ir
from openvino import Node

from convert.errors import UnsupportedError
from passes.calibration.observers import InputRange


class Context:
    """The runtime's nodes of the values lowered so far.

    Args:
        input_ranges: By name of its weight, where the input of a layer of 8-bit inputs lies.
    """

    def __init__(self, input_ranges: Mapping[str, InputRange] | None = None) -> None:
        self.input_ranges = input_ranges or {}
        self._nodes: dict[str, Node] = {}
        self._shared: dict[tuple[str, str], Node] = {}
        self._named: set[str] = set()
        self._absorbed: set[ir.Node] = set()

    def node(self, value: ir.Value | None) -> Node:
        """The node that computes ``value``."""
        if value is None or value.name is None:
            raise UnsupportedError("an operator lacks an input that its lowering needs")
        return self._nodes[value.name]

    def inputs(self, node: ir.Node) -> list[Node]:
        """The nodes of all inputs of ``node``, none of which may be absent."""
        return [self.node(value) for value in node.inputs]

    def bind(self, value: ir.Value, node: Node, name: str) -> None:
        """Record that ``node`` computes ``value``; ``name`` names it and what is new below it."""
        assert value.name is not None
        self._nodes[value.name] = node
        self.name(node, name)

    def absorb(self, nodes: Iterable[ir.Node], value: ir.Value, node: Node) -> None:
        """Record that ``node`` computes ``value`` together with all that ``nodes`` do."""
        self._absorbed.update(nodes)
        self.bind(value, node, str(value.name))

    def is_absorbed(self, node: ir.Node) -> bool:
        """Whether another operator's lowering has done what ``node`` does."""
        return node in self._absorbed

    def shared(self, kind: str, value: ir.Value | None, build: Callable[[Node], Node]) -> Node:
        """A node built from ``value`` once, however many operators ask for it."""
        source = self.node(value)
        assert value is not None and value.name is not None
        key = (kind, value.name)
        if key not in self._shared:
            self._shared[key] = build(source)
            self.name(self._shared[key], f"{value.name}/{kind}")
        return self._shared[key]

    def name(self, root: Node, name: str) -> None:
        """Name ``root`` and every unnamed node below it.

        The runtime's own names count nodes over the whole process, so they differ between runs.
        """
        numbers: Counter[str] = Counter()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node.get_name() in self._named:
                continue
            self._named.add(node.get_name())
            kind = node.get_type_name()
            numbers[kind] += 1
            suffix = "" if node is root else f"/{kind}.{numbers[kind]}"
            node.set_friendly_name(name + suffix)
            waiting += [source.get_node() for source in reversed(node.input_values())]


def attributes(node: ir.Node, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of ``node``, completed by ``defaults``.

    Raises:
        UnsupportedError: The node has an attribute that is not among ``defaults``.
    """
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    refuse_unless(
        not given.keys() - defaults.keys(),
        node,
        f"attributes {sorted(given.keys() - defaults.keys())}",
    )
    return {**defaults, **given}


def refuse_unless(condition: bool, node: ir.Node, what: str) -> None:
    """Raise UnsupportedError naming ``node`` and ``what`` it has, unless ``condition`` holds."""
    if not condition:
        raise UnsupportedError(
            f"OpenVINO lowering of {node.op_type} (node {node.name!r}) does not support {what}"
        )
