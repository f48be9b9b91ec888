"""Runs a graph in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

Array = NDArray[Any]


class OrtGraph:
    """A graph, loaded."""

    def __init__(self, model: ir.Model) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(
            ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, **feed: Array) -> dict[str, Array]:
        """Outputs by name. Dots in names are allowed through ``**``."""
        return dict(zip(self._outputs, self._session.run(None, feed), strict=True))


def relative_error(found: Array, expected: Array) -> float:
    """Largest difference, in standard deviations of ``expected``."""
    return float(np.abs(found - expected).max() / expected.std())
