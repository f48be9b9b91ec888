"""Decoder layers as parts of a plan, and what it takes to round one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import onnx_ir as ir

from convert.weights import Weight
from passes.calibration.steps import Plan, Step

ITERATIONS = 200
"""Steps of the descent for each block."""

BATCH_TOKENS = 1024
"""Of the texts that a step is taken by, about."""

_FLOATS_A_WEIGHT = 8
"""The weight, its offset, what is stored for it, its gradient, and what a step takes besides."""


@dataclass(frozen=True)
class Block:
    """Steps between two points at which a single value is held of each text.

    Args:
        first: Number of the first step.
        steps: All of them.
        source: The value that comes in.
        result: The value that goes out.
    """

    first: int
    steps: tuple[Step, ...]
    source: ir.Value
    result: ir.Value

    @property
    def weights(self) -> dict[str, Weight]:
        """The matrices of its linear layers by name."""
        return {
            step.weight.name: step.weight
            for step in self.steps
            if step.weight is not None and step.node.op_type == "MatMul"
        }


def blocks_of(plan: Plan) -> list[Block]:
    """One for each attention: with the layers before it that lead to it, and those after it."""
    rests = sorted(plan.rests)
    attentions = [number for number, step in enumerate(plan.steps) if step.layer is not None]
    multiplying = [
        number
        for number, step in enumerate(plan.steps)
        if step.weight is not None and step.computes
    ]
    if not rests or not attentions or not multiplying:
        return []
    starts = [max((r for r in rests if r <= number), default=-1) for number in attentions]
    end = min((r for r in rests if r > multiplying[-1]), default=-1)
    bounds = sorted({start for start in (*starts, end) if start > 0})
    return [
        found
        for first, last in pairwise(bounds)
        if (found := _block(plan, first, last)) is not None
    ]


def _block(plan: Plan, first: int, last: int) -> Block | None:
    steps, of_texts = plan.steps[first:last], _of_texts(plan)
    made = {value for step in steps for value in step.node.outputs}
    read = {value for step in steps for value in step.inputs if value in of_texts}
    later = {value for step in plan.steps[last:] for value in step.inputs}
    sources, results = read - made, made & later & of_texts
    if len(sources) != 1 or len(results) != 1:
        return None
    return Block(first, steps, sources.pop(), results.pop())


def _of_texts(plan: Plan) -> set[ir.Value]:
    return {value for step in plan.steps if step.by_text for value in step.node.outputs}


def memory_to_round(plan: Plan) -> int:
    """Bytes that the weights of the largest block take while they are rounded."""
    sizes = [
        sum(weight.rows * weight.columns for weight in block.weights.values())
        for block in blocks_of(plan)
    ]
    return 4 * _FLOATS_A_WEIGHT * max(sizes, default=0)
