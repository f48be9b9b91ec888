"""The weights of a finished IR as floats, read by OpenVINO and decompressed in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as ops

Array = NDArray[np.float32]

_ARITHMETIC = {"Subtract": np.subtract, "Multiply": np.multiply}


def stored_weights(artifact: Path) -> Iterator[tuple[str, Array]]:
    """Name and float32 value of every parameter in ``openvino_model.xml``."""
    core = openvino.Core()
    model = core.read_model(artifact / "openvino_model.xml")
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if name.endswith((".weight", ".bias")):
            yield name, _evaluate(core, node)


def _evaluate(core: openvino.Core, node: Node) -> Array:
    """Carry out the subgraph in float32, unlike the IR's own float16 intermediates."""
    kind = node.get_type_name()
    if kind == "Constant":
        return _as_float32(core, node)
    inputs = [source.get_node() for source in node.input_values()]
    if kind == "Reshape":
        return _evaluate(core, inputs[0]).reshape(tuple(node.get_output_shape(0)))
    values = [_evaluate(core, source) for source in inputs]
    return values[0] if kind == "Convert" else _ARITHMETIC[kind](*values)


def _as_float32(core: openvino.Core, constant: Node) -> Array:
    """Let OpenVINO unpack the constant, whatever its type."""
    result = ops.result(ops.convert(constant, "f32"))
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(openvino.Model([result], [], "constant"), "CPU", exact)
    value: Array = np.array(compiled([])[0], np.float32)
    return value
