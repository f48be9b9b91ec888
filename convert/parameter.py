"""A graph initializer that knows where its bits come from and how they will be stored."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from convert.weights import Weight, read_float32
from passes.encodings.base import Encoding


class Parameter(ir.LazyTensor):
    """A lazy initializer: float32 in meaning, evaluated only when something runs the graph.

    Args:
        weight: Where the bits come from.
        encoding: How a target will store it; None keeps the storage dtype of the weight.
        fallback: Why ``encoding`` is not the one that was asked for, if it is not.

    With an encoding the float meaning is that of the decoded bytes, so that running the graph
    shows what the quantization costs.
    """

    __slots__ = ("encoding", "fallback", "weight")

    def __init__(
        self, weight: Weight, encoding: Encoding | None = None, fallback: str | None = None
    ) -> None:
        self.weight = weight
        self.encoding = encoding
        self.fallback = fallback
        super().__init__(
            self._float_meaning,
            dtype=ir.DataType.FLOAT,
            shape=ir.Shape(weight.shape),
            name=weight.name,
            cache=False,
        )

    def _float_meaning(self) -> ir.TensorProtocol:
        if self.encoding is None:
            values = read_float32(self.weight)
        else:
            rows = self.weight.read_rows(0, self.weight.rows)
            planes = self.encoding.encode(rows)
            values = self.encoding.decode(planes, self.weight.rows, self.weight.columns)
        return ir.tensor(np.ascontiguousarray(values.reshape(self.weight.shape)), name=self.name)
