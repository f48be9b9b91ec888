"""The weights of a finished IR as floats, read by OpenVINO and decompressed in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node

Array = NDArray[np.float32]

_ARITHMETIC: dict[str, Callable[..., Array]] = {"Subtract": np.subtract, "Multiply": np.multiply}


def stored_weights(artifact: Path) -> Iterator[tuple[str, Array]]:
    """Name and float32 value of every parameter in ``openvino_model.xml``."""
    model = openvino.Core().read_model(artifact / "openvino_model.xml")
    for node in model.get_ordered_ops():
        name = node.get_friendly_name()
        if name.endswith((".weight", ".bias")):
            yield name, _evaluate(node)


def _evaluate(node: Node) -> Array:
    """Carry out the subgraph in float32, unlike the IR's own float16 intermediates."""
    kind = node.get_type_name()
    if kind == "Constant":
        return _as_float32(node)
    inputs = [source.get_node() for source in node.input_values()]
    if kind == "Reshape":
        return _evaluate(inputs[0]).reshape(tuple(node.get_output_shape(0)))
    values = [_evaluate(source) for source in inputs]
    if kind == "Convert":
        return values[0]
    # Every operand was made for this node alone, so the result may take its place.
    return _ARITHMETIC[kind](*values, out=values[0])


def _as_float32(constant: Node) -> Array:
    """The elements of a constant as a new array in its shape."""
    data: NDArray[Any] = constant.data
    kind = constant.get_output_element_type(0).to_string()
    if kind == "bf16":  # the runtime gives its bits as float16
        values: Array = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif kind in {"u4", "i4"}:
        count = int(np.prod(constant.get_output_shape(0), dtype=np.int64))
        values = _nibbles(data.view(np.uint8), signed=kind == "i4")[:count]
    else:
        values = data.astype(np.float32)
    return values.reshape(tuple(constant.get_output_shape(0)))


def _nibbles(packed: NDArray[np.uint8], *, signed: bool) -> Array:
    """Two elements of each byte, the one in the low bits first, i4 as two's complement."""
    low, high = np.arange(256) & 15, np.arange(256) >> 4
    pairs = np.stack([low, high], axis=-1).astype(np.float32)
    if signed:
        pairs[pairs > 7] -= 16
    return pairs[packed.reshape(-1)].reshape(-1)
