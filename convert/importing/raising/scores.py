"""Attention that a model wrote out: what its softmax is of, taken apart.

``softmax(f · (q kᵀ) + terms, where conditions hold)``, read from the softmax back to the product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from convert.importing.raising.patterns import Value, array_of, made_by, orders, rank_of, scalar_of

FORBIDDEN = -1e4
"""What is this low or lower, added to a score or in its place, forbids a pair."""


@dataclass(frozen=True)
class Term:
    """What is added to scores.

    Args:
        value: As the model adds it.
        factor: What it is multiplied by afterwards.
    """

    value: ir.Value
    factor: float


@dataclass(frozen=True)
class Condition:
    """Where a pair may attend.

    Args:
        value: Bool.
        holds: Which of its values allows.
    """

    value: ir.Value
    holds: bool


@dataclass(frozen=True)
class Scores:
    """What a softmax is of.

    Args:
        product: The product of queries and keys.
        scale: Its factor.
        softcap: What bends it, or 0.
        terms: Added.
        conditions: All must hold.
    """

    product: ir.Node
    scale: float
    softcap: float = 0.0
    terms: tuple[Term, ...] = ()
    conditions: tuple[Condition, ...] = ()


def scores_of(value: Value, factor: float = 1.0) -> Scores | None:
    """Scores, if a value is made of them in a way that is known."""
    node = made_by(value, *_STEPS)
    return _STEPS[node.op_type](node, factor) if node is not None else None


def is_forbidden(number: float | None) -> bool:
    """Whether a number, added to a score or in its place, leaves nothing of it."""
    return number is not None and number <= FORBIDDEN


def keeps_last_two(node: ir.Node) -> bool:
    """Whether a node leaves the last two axes, and joins or parts those before them at most."""
    if node.op_type == "Cast":
        return True
    x, y = node.inputs[0], node.outputs[0]
    if x is None or x.shape is None or y.shape is None or min(len(x.shape), len(y.shape)) < 3:
        return False
    return [str(size) for size in x.shape[-2:]] == [str(size) for size in y.shape[-2:]]


def allowed_by(value: ir.Value) -> Condition | None:
    """The condition that a value says by 0 where it holds and something forbidding elsewhere."""
    node = made_by(value, "Where")
    if node is None or node.inputs[0] is None:
        return None
    numbers = [_all_alike(each) for each in node.inputs[1:]]
    if numbers[0] == 0 and is_forbidden(numbers[1]):
        return Condition(node.inputs[0], holds=True)
    if numbers[1] == 0 and is_forbidden(numbers[0]):
        return Condition(node.inputs[0], holds=False)
    return None


def without_conditions(value: ir.Value) -> tuple[ir.Value, list[Condition]]:
    """What is added where pairs may attend, and where they may."""
    node = made_by(value, "Where")
    if node is None or node.inputs[0] is None:
        return value, []
    for place, holds in ((1, True), (2, False)):
        kept = node.inputs[place]
        if kept is not None and is_forbidden(_all_alike(node.inputs[3 - place])):
            inner, others = without_conditions(kept)
            return inner, [Condition(node.inputs[0], holds), *others]
    return value, []


def simplest(condition: Condition) -> Condition:
    """Not whether (0 where it holds, else something forbidding) is below 0, or 0, or anything but
    0, but what holds.
    """
    node = made_by(condition.value, "Less", "Cast", "Equal", "Not")
    if node is None or node.inputs[0] is None:
        return condition
    if node.op_type == "Not":
        return simplest(Condition(node.inputs[0], not condition.holds))
    edge = -1.0 if node.op_type == "Cast" else scalar_of(node.inputs[1])
    said = allowed_by(node.inputs[0])
    if said is None or edge is None or not FORBIDDEN < edge <= 0:
        return condition
    if node.op_type == "Equal":
        return Condition(said.value, said.holds == condition.holds) if edge == 0 else condition
    return Condition(said.value, said.holds != condition.holds)


def _all_alike(value: Value) -> float | None:
    """The number that every element is."""
    array = array_of(value)
    if array is None or not array.size or not (array == array.reshape(-1)[0]).all():
        return None
    return float(array.reshape(-1)[0])


def _of_product(node: ir.Node, factor: float) -> Scores | None:
    return Scores(node, factor)


def _of_the_same(node: ir.Node, factor: float) -> Scores | None:
    return scores_of(node.inputs[0], factor) if keeps_last_two(node) else None


def _of_greater(node: ir.Node, factor: float) -> Scores | None:
    """Scores that are not let fall below what forbids."""
    pairs = [(x, scalar_of(low)) for x, low in orders(node)]
    return next((scores_of(x, factor) for x, low in pairs if is_forbidden(low)), None)


def _of_sum(node: ir.Node, factor: float) -> Scores | None:
    for x, term in orders(node):
        found = scores_of(x, factor)
        if found is not None and term is not None:
            return replace(found, terms=(*found.terms, Term(term, factor)))
    return None


def _of_multiple(node: ir.Node, factor: float) -> Scores | None:
    for x, times in _multiples(node):
        bent = made_by(x, "Tanh")
        if bent is not None:
            inner = scores_of(bent.inputs[0])
            if inner is None or inner.terms or inner.conditions or inner.softcap:
                return None
            # Attention bends what it has scaled: only as the same number is divided by before.
            cap = factor * times
            return Scores(inner.product, inner.scale * cap, softcap=cap)
        found = scores_of(x, factor * times)
        if found is not None:
            return found
    return None


def _multiples(node: ir.Node) -> Iterator[tuple[Value, float]]:
    if node.op_type == "Div":
        number = scalar_of(node.inputs[1])
        if number:
            yield node.inputs[0], 1 / number
        return
    for x, number in ((x, scalar_of(other)) for x, other in orders(node)):
        if number is not None and number > 0:
            yield x, number


def _of_choice(node: ir.Node, factor: float) -> Scores | None:
    condition, if_true, if_false = node.inputs
    if condition is None:
        return None
    for x, other, holds in ((if_true, if_false, True), (if_false, if_true, False)):
        if is_forbidden(_all_alike(other)):
            found = scores_of(x, factor)
            if found is not None and rank_of(condition) >= 0:
                each = Condition(condition, holds)
                return replace(found, conditions=(*found.conditions, each))
    return None


_STEPS: Mapping[str, Callable[[ir.Node, float], Scores | None]] = {
    "MatMul": _of_product,
    "Cast": _of_the_same,
    "Reshape": _of_the_same,
    "Add": _of_sum,
    "Mul": _of_multiple,
    "Div": _of_multiple,
    "Where": _of_choice,
    "Max": _of_greater,
}
