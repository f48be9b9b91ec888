"""Runs a single OpenVINO subgraph in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import Node
from openvino import opset13 as ops


def evaluate(node: Node) -> NDArray[Any]:
    """The value of a node that depends on constants only."""
    model = openvino.Model([ops.result(node)], [], "subgraph")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(openvino.Core().compile_model(model, "CPU", exact)([])[0])
