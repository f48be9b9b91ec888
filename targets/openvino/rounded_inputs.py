"""Inputs of linear layers rounded to 8 bits, in a range that is fixed beforehand.

Where such a value meets weights of 8-bit integers, the runtime multiplies bytes by bytes. Its
operator FakeQuantize says so: round to one of 256 levels, and go on with the float of that level.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from openvino import Node
from openvino import opset13 as ops

from convert.errors import UsageError
from convert.parameter import Parameter
from passes.calibration.observers import InputRange
from targets.openvino.context import Context

LEVELS = 256

SMALLEST_STEP = 2.0**-100
"""Inputs that never differ by more are zeros to any layer."""


def input_of(context: Context, x: ir.Value | None, weight: ir.Value) -> Node:
    """What a linear layer multiplies with: ``x``, rounded once for all layers that want it so.

    Raises:
        UsageError: Nothing is known of its range.
    """
    parameter = weight.const_value
    assert isinstance(parameter, Parameter) and weight.name is not None
    if parameter.encoding is None or parameter.encoding.input_bits is None:
        return context.node(x)
    within = context.input_ranges.get(weight.name)
    if within is None:
        raise UsageError(
            f"nothing is known of the range of the inputs of {weight.name}",
            expected=f"a calibration, because {parameter.encoding.name} rounds them to 8 bits",
            remedy="calibrate with a text, or choose int8, which leaves inputs as they are",
        )
    return context.shared("rounded", x, lambda node: rounded(node, within))


def rounded(x: Node, within: InputRange) -> Node:
    """``x`` at the nearest of 256 levels; beyond them, at the last."""
    low, high = (ops.constant(bound) for bound in levels(within))
    return ops.fake_quantize(x, low, high, low, high, LEVELS)


def levels(within: InputRange) -> tuple[np.float32, np.float32]:
    """The first and the last level: as far apart as the range asks, with zero among the levels.

    The runtime computes with whole numbers, one of which stands for zero.
    """
    low, high = min(within.low, 0.0), max(within.high, 0.0)
    step = (high - low) / (LEVELS - 1)
    if step < SMALLEST_STEP:
        step = 1.0
    below = round(-low / step)
    return np.float32(-below * step), np.float32((LEVELS - 1 - below) * step)
