"""Runs a decoder layer in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from torch.nn import functional

from passes.autoround.blocks import Block
from passes.autoround.operators import operator_of, tensor
from passes.calibration.held import HeldValues, constant
from passes.calibration.operators import operator_of as array_operator_of
from passes.calibration.steps import Step


class TorchBlock:
    """Runs a block.

    Args:
        block: The block.
        held: Has what it reads that is the same for all texts of a length.
        texts: Numbers of texts that it may be run on.
    """

    def __init__(self, block: Block, held: HeldValues, texts: Sequence[int]) -> None:
        self._block = block
        self._fixed = {text: self._fixed_values(held, text) for text in texts}

    def _fixed_values(self, held: HeldValues, text: int) -> dict[ir.Value, Any]:
        """What does not depend on the tokens of a text, but for how many they are."""
        made = {value for step in self._block.steps if step.by_text for value in step.node.outputs}
        made.add(self._block.source)
        found: dict[ir.Value, Any] = {}
        for step in self._block.steps:
            for value in step.inputs:
                if value not in made and value not in found:
                    known = constant(value)
                    found[value] = held.get(value, text) if known is None else known
            if not step.by_text and step.node.op_type != "Shape":
                inputs = [None if value is None else found[value] for value in step.node.inputs]
                outputs = array_operator_of(step.node)(*inputs)
                found.update(zip(step.node.outputs, outputs, strict=True))
        return found

    def run(
        self,
        text: int,
        source: Any,
        weights: Mapping[str, Any],
        see: Callable[[str, Any], None] = lambda name, inputs: None,
    ) -> Any:
        """What comes out for a text.

        Args:
            source: What comes in, ``[1, tokens, hidden]``.
            weights: Matrices ``[out, in]`` and kernels by name.
            see: Shown the input of each of them.
        """
        values: dict[ir.Value, Any] = {**self._fixed[text], self._block.source: source}
        for step in self._block.steps:
            if step.node.outputs[0] in values:
                continue
            inputs = [None if value is None else values.get(value) for value in step.node.inputs]
            if step.weight is not None:
                see(step.weight.name, inputs[0])
            values.update(zip(step.node.outputs, _outputs(step, inputs, weights), strict=True))
        return values[self._block.result]


def _outputs(step: Step, inputs: Sequence[Any], weights: Mapping[str, Any]) -> tuple[Any, ...]:
    if step.node.op_type == "Shape":
        return (np.array(inputs[0].shape, np.int64),)
    if step.weight is None:
        return operator_of(step.node)(*inputs)
    weight = weights[step.weight.name]
    if step.node.op_type == "MatMul":
        return (functional.linear(inputs[0], weight),)
    bias = tensor(inputs[2]) if len(inputs) > 2 else None
    return (functional.conv2d(inputs[0], weight, bias),)
