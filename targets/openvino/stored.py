"""The weights of a finished IR as floats, read by OpenVINO and decompressed in numpy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node, Type
from openvino import opset13 as ops

from targets.openvino.experts import NUMBER

Array = NDArray[np.float32]

_NOTED = ("tricast", "parameters")
"""Where an IR says what else is a parameter."""

_CODES = (Type.u4, Type.i4, Type.nf4, Type.f8e4m3)
_ARITHMETIC: dict[str, Callable[..., Array]] = {"Subtract": np.subtract, "Multiply": np.multiply}


def stored_weights(artifact: Path) -> Iterator[tuple[str, Array]]:
    """Name and float32 value of every parameter in ``openvino_model.xml``."""
    for name, node in stored_nodes(artifact).items():
        values = value_of(node)
        if NUMBER not in name:
            yield name, values
            continue
        for number, each in enumerate(values):
            yield name.replace(NUMBER, str(number)), each


def stored_nodes(
    artifact: Path, *, extensions: Sequence[type[openvino.Op]] = ()
) -> dict[str, Node]:
    """The decompressed matrix or vector of every parameter, by name.

    Args:
        artifact: Folder with ``openvino_model.xml``.
        extensions: Operators that the IR has beside the runtime's own.
    """
    core = openvino.Core()
    for operator in extensions:
        core.add_extension(operator)
    model = core.read_model(artifact / "openvino_model.xml")
    named = ((node.get_friendly_name(), node) for node in model.get_ordered_ops())
    others = _noted_names(model)
    return {name: node for name, node in named if has_usual_name(name) or name in others}


def has_usual_name(name: str) -> bool:
    """Whether a node of this name can only be a parameter."""
    return name.endswith((".weight", ".bias"))


def note_names(model: openvino.Model, names: Sequence[str]) -> None:
    """Write into an IR which of its nodes are parameters, too."""
    if names:
        model.set_rt_info(json.dumps(sorted(names)), list(_NOTED))


def _noted_names(model: openvino.Model) -> frozenset[str]:
    if not model.has_rt_info(list(_NOTED)):
        return frozenset()
    return frozenset(json.loads(model.get_rt_info(list(_NOTED)).astype(str)))


def value_of(node: Node) -> Array:
    """Carry out the subgraph in float32, unlike the IR's own float16 intermediates."""
    kind = node.get_type_name()
    if kind == "Constant":
        return _as_float32(node)
    inputs = [source.get_node() for source in node.input_values()]
    if kind == "Reshape":
        return value_of(inputs[0]).reshape(tuple(node.get_output_shape(0)))
    values = [value_of(source) for source in inputs]
    if kind == "Convert":
        return values[0]
    if kind == "Gather":
        return np.take(values[0], values[1].astype(np.int64), int(values[2]))
    # Every operand was made for this node alone, so the result may take its place.
    return _ARITHMETIC[kind](*values, out=values[0])


def _as_float32(constant: Node) -> Array:
    """The elements of a constant as a new array in its shape."""
    data: NDArray[Any] = constant.data
    kind = constant.get_output_element_type(0)
    if kind == Type.bf16:  # the runtime gives its bits as float16
        values: Array = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    elif kind in _CODES:
        bits, table = data.view(np.uint8).reshape(-1), _values_of_bytes(kind)
        count = math.prod(constant.get_output_shape(0))
        values = table[bits].reshape(-1)[:count]
    else:
        values = data.astype(np.float32)
    return values.reshape(tuple(constant.get_output_shape(0)))


@cache
def _values_of_bytes(kind: Type) -> Array:
    """What the runtime reads in each of the 256 bytes: one element, or two."""
    per_byte = 8 // kind.bitwidth
    tensor = openvino.Tensor(kind, openvino.Shape([256 * per_byte]))
    tensor.data[:] = np.arange(256, dtype=np.uint8).view(tensor.data.dtype)
    values = ops.convert(ops.constant(tensor), "f32")
    model = openvino.Model([ops.result(values)], [], "elements")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    read = openvino.Core().compile_model(model, "CPU", exact)([])[0]
    return np.array(read, np.float32).reshape(256, per_byte)
