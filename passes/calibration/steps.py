"""A graph as the steps that calibration takes: what runs at all, in what order, on which data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.errors import UnsupportedError
from convert.graph import ATTENTION_MASK, INPUT_IDS, LOGITS, POSITION_IDS, attention_nodes
from convert.parameter import Parameter
from convert.weights import Weight

WEIGHTED = ("MatMul", "Conv")
"""Operators that multiply with a parameter: its rows are streamed past, never held."""

_FED = frozenset({INPUT_IDS, ATTENTION_MASK, POSITION_IDS})


@dataclass(frozen=True)
class Step:
    """One node to run.

    Args:
        node: The node.
        weight: The matrix or kernel ``[out, ...]`` that it multiplies with, if any.
        layer: Number of the attention that it is, if it is one.
        computes: Whether anything wants its outputs; if not, observers still see what goes in.
        by_text: Whether the outputs depend on the tokens themselves, not just on how many.
    """

    node: ir.Node
    weight: Weight | None
    layer: int | None
    computes: bool
    by_text: bool

    @property
    def inputs(self) -> tuple[ir.Value, ...]:
        """The values that are read, other than a streamed weight."""
        inputs = self.node.inputs
        if self.weight is not None:
            inputs = (inputs[0], *inputs[2:])
        return tuple(value for value in inputs if value is not None)


@dataclass(frozen=True)
class Plan:
    """All steps in order, and how often each value is read by them."""

    steps: tuple[Step, ...]
    reads: Counter[ir.Value]

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The weights that are streamed, in order."""
        return self.weights_of(0)

    def weights_of(self, first: int, last: int | None = None) -> tuple[Weight, ...]:
        """Those of the weights that some of the steps need."""
        return tuple(step.weight for step in self.steps[first:last] if step.weight is not None)

    @property
    def rests(self) -> frozenset[int]:
        """Numbers of steps after which a single value is held of each text: between two halves of
        a layer.
        """
        left, held, found = self.reads.copy(), set[ir.Value](), set[int]()
        for number, step in enumerate(self.steps, 1):
            left.subtract(step.inputs)
            held = {value for value in held if left[value]}
            if step.by_text:
                held |= {value for value in step.node.outputs if left[value]}
            if len(held) == 1:
                found.add(number)
        return frozenset(found)


def plan(model: ir.Model, *, logits: bool) -> Plan:
    """What must run for observers to see every linear layer and every attention.

    Args:
        model: The float graph, without a cache.
        logits: Whether the logits themselves are wanted.

    Raises:
        UnsupportedError: The graph has inputs other than a text, or stores quantized weights.
    """
    _require_float(model)
    watched = set(_watched(model))
    wanted = {value for value in model.graph.outputs if logits and value.name == LOGITS}
    chosen: list[tuple[ir.Node, bool]] = []
    for node in reversed(list(model.graph)):
        computes = any(value in wanted for value in node.outputs)
        if computes or node in watched:
            chosen.append((node, computes))
            wanted.update(value for value in node.inputs if value is not None)
    steps = tuple(_steps(model, chosen[::-1]))
    reads = Counter(value for step in steps for value in step.inputs)
    return Plan(steps, reads + Counter(model.graph.outputs if logits else ()))


def weights_first(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The same steps, each weight as soon as its inputs are there, but none before another: weights
    that have the same inputs, or others that are there, follow each other.
    """
    ordered: list[Step] = []
    for step in steps:
        place = len(ordered)
        while step.weight is not None and place and _may_follow(ordered[place - 1], step):
            place -= 1
        ordered.insert(place, step)
    return tuple(ordered)


def _may_follow(earlier: Step, weight: Step) -> bool:
    return earlier.weight is None and not reads(weight, earlier)


def reads(step: Step, earlier: Step) -> bool:
    """Whether a step reads what another one makes."""
    return not set(step.inputs).isdisjoint(earlier.node.outputs)


def streamed_weight(node: ir.Node) -> Weight | None:
    """The parameter that a node multiplies tokens with: of a linear layer or a convolution."""
    if node.op_type not in WEIGHTED or node.inputs[1] is None:
        return None
    value = node.inputs[1]
    if node.op_type == "MatMul":
        turned = value.producer()
        if turned is None or turned.op_type != "Transpose" or turned.inputs[0] is None:
            return None
        value = turned.inputs[0]
    tensor = value.const_value
    return tensor.weight if isinstance(tensor, Parameter) else None


def _steps(model: ir.Model, chosen: list[tuple[ir.Node, bool]]) -> Iterator[Step]:
    layers = {node: number for number, node in enumerate(attention_nodes(model))}
    of_tokens = {value for value in model.graph.inputs if value.name == INPUT_IDS}
    turned = {node.inputs[1] for node, _ in chosen if streamed_weight(node) is not None}
    for node, computes in chosen:
        if node.outputs[0] in turned:
            continue  # a weight's Transpose: its rows are read as they are stored
        by_text = node.op_type != "Shape" and any(value in of_tokens for value in node.inputs)
        if by_text:
            of_tokens.update(node.outputs)
        yield Step(node, streamed_weight(node), layers.get(node), computes, by_text)


def _watched(model: ir.Model) -> Iterator[ir.Node]:
    yield from attention_nodes(model)
    yield from (node for node in model.graph if streamed_weight(node) is not None)


def _require_float(model: ir.Model) -> None:
    surplus = [str(value.name) for value in model.graph.inputs if value.name not in _FED]
    if surplus:
        raise UnsupportedError(
            "calibration runs graphs without a cache only",
            expected=", ".join(sorted(_FED)),
            found=f"an input {surplus[0]}",
        )
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if isinstance(tensor, Parameter) and tensor.encoding is not None:
            raise UnsupportedError(
                "calibration runs the original's weights only",
                found=f"{name} as {tensor.encoding.name}",
                remedy="calibrate before the graph is quantized",
            )
