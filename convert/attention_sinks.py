"""Attention whose softmax counts one key more, of value zero: a score for each head, the sink.

    softmax([scores ‖ sink]) of the keys alone = softmax(scores) · sigmoid(log Σ exp(scores) - sink)

The operator Attention has no sink, but gives its scores: what it mixes is multiplied by how much
of the softmax the keys have.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

SCORES = 3
"""Place of the scores among Attention's outputs."""

SCORES_WITH_MASK = 2
"""Value of its attribute ``qk_matmul_output_mode``: scores as they go into the softmax."""

_STEPS = ("ReduceLogSumExp", "Sub", "Sigmoid", "Mul")


@dataclass(frozen=True)
class Sink:
    """The sink of an Attention node.

    Args:
        scores: What the keys compete with, a score for each head, ``[1, H, 1, 1]``.
        steps: The nodes behind Attention that say so, in order.
        result: What is mixed in the end, ``[B, H, S, D]``.
    """

    scores: ir.Value
    steps: tuple[ir.Node, ...]
    result: ir.Value


def sink_of(attention: ir.Node) -> Sink | None:
    """The sink of a node, if it has one and nothing else reads its scores."""
    if len(attention.outputs) <= SCORES:
        return None
    mode = attention.attributes.get("qk_matmul_output_mode")
    value, steps = attention.outputs[SCORES], list[ir.Node]()
    for kind in _STEPS:
        readers = value.consumers()
        if len(readers) != 1 or readers[0].op_type != kind:
            return None
        steps.append(readers[0])
        value = readers[0].outputs[0]
    total, apart, _, product = steps
    mixed = attention.outputs[0]
    scores = apart.inputs[1]
    if mode is None or mode.as_int() != SCORES_WITH_MASK or scores is None:
        return None
    if apart.inputs[0] is not total.outputs[0] or list(mixed.consumers()) != [product]:
        return None
    return Sink(scores, tuple(steps), product.outputs[0])
