"""Computing a small part of a graph, with given numbers in place of what it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import ATTENTION_MASK, INPUT_IDS, POSITION_IDS
from convert.parameter import Parameter

Array = NDArray[Any]
_OPSET = 24


class NotComputableError(Exception):
    """What is asked for depends on the weights."""


def evaluated(
    wanted: ir.Value,
    given: Mapping[ir.Value, Array],
    *,
    positions: tuple[int, ...] = (1,),
    passed: Callable[[ir.Node], bool] = lambda node: False,
    zeros: bool = False,
) -> Array:
    """A value for one token of one sequence, or for several.

    Args:
        wanted: The value.
        given: Numbers for values that it is computed from.
        positions: Of the tokens.
        passed: Whether a node counts for nothing: it puts out its first input.
        zeros: Whether to take weights for zeros.

    Raises:
        NotComputableError: It reads a weight that is not behind a given value.
    """
    part = _Part(given, positions, passed, zeros=zeros)
    part.add(wanted)
    return part.run(str(wanted.name))


class _Part:
    """Nodes in order, with the numbers that they read."""

    def __init__(
        self,
        given: Mapping[ir.Value, Array],
        positions: tuple[int, ...],
        passed: Callable[[ir.Node], bool],
        *,
        zeros: bool,
    ) -> None:
        self._passed, self._zeros = passed, zeros
        self._known: dict[str, Array] = {str(value.name): array for value, array in given.items()}
        self._nodes: list[Any] = []
        self._seen: set[str] = set()
        one = np.ones((1, len(positions)), np.int64)
        place = np.array([positions], np.int64)
        self._tokens = {INPUT_IDS: one, ATTENTION_MASK: one, POSITION_IDS: place}

    def add(self, value: ir.Value) -> None:
        """Add what computes a value, which may be deep."""
        waiting: list[tuple[ir.Value, bool]] = [(value, False)]
        while waiting:
            each, read = waiting.pop()
            name, node = str(each.name), each.producer()
            if name in self._known or (name in self._seen and not read):
                continue
            if node is None:
                self._known[name] = self._number(each)
                continue
            if read:
                self._nodes.append(self._written(node))
                continue
            self._seen |= {str(output.name) for output in node.outputs}
            waiting.append((each, True))
            waiting += [(one, False) for one in self._inputs(node)]

    def _inputs(self, node: ir.Node) -> list[ir.Value]:
        inputs = node.inputs[:1] if self._passed(node) else node.inputs
        return [one for one in inputs if one is not None]

    def _number(self, value: ir.Value) -> Array:
        if value.name in self._tokens:
            return self._tokens[str(value.name)]
        if self._zeros and isinstance(value.const_value, Parameter):
            return np.zeros(value.const_value.shape.numpy(), np.float32)
        if value.const_value is None or isinstance(value.const_value, Parameter):
            raise NotComputableError(str(value.name))
        return np.asarray(value.const_value.numpy())

    def _written(self, node: ir.Node) -> Any:
        import onnx

        if self._passed(node):
            first = node.inputs[0]
            assert first is not None
            return onnx.helper.make_node("Identity", [first.name], [node.outputs[0].name])
        return ir.to_proto(node)

    def run(self, wanted: str) -> Array:
        """The value of this name."""
        if wanted in self._known:
            return self._known[wanted]
        import onnx
        from onnx.reference import ReferenceEvaluator

        graph = onnx.helper.make_graph(
            self._nodes,
            "part",
            [onnx.ValueInfoProto(name=name) for name in self._known],
            [onnx.ValueInfoProto(name=wanted)],
        )
        opset = onnx.helper.make_opsetid("", _OPSET)
        model = onnx.helper.make_model(graph, opset_imports=[opset])
        try:
            with np.errstate(all="ignore"):
                return np.asarray(ReferenceEvaluator(model).run(None, self._known)[0])
        except Exception as error:  # whatever an operator makes of numbers that it was not made for
            raise NotComputableError(f"{wanted}: {error}") from error
