"""What translating one program keeps in hand: the value of each of its nodes, and their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.graph import initializer
from convert.importing.axes import Axes

FLOAT, INT64, BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL

_DTYPES = {
    "torch.float32": FLOAT,
    "torch.float64": FLOAT,
    "torch.float16": FLOAT,
    "torch.bfloat16": FLOAT,
    "torch.int64": INT64,
    "torch.int32": ir.DataType.INT32,
    "torch.uint8": ir.DataType.UINT8,
    "torch.int8": ir.DataType.INT8,
    "torch.bool": BOOL,
}
"""Every float is float32, as in the hand-written graphs."""

Made = ir.Value | tuple[ir.Value, ...]


class Translation:
    """A graph that grows in the order of the program.

    Args:
        names: Symbol of the program to name of the axis.
        sources: Name of the axis to an input of the graph that has it, and the place where.
    """

    def __init__(
        self, names: Mapping[str, str], sources: Mapping[str, tuple[ir.Value, int]]
    ) -> None:
        self.nodes: list[ir.Node] = []
        self.initializers: dict[str, ir.Value] = {}
        self.axes = Axes(names, sources, self.op, self.constant)
        self.scope = ""
        self._counts: Counter[str] = Counter()
        self._constants: dict[tuple[Any, ...], ir.Value] = {}

    def op(
        self,
        kind: str,
        *inputs: ir.Value | None,
        shape: Iterable[Any],
        dtype: ir.DataType | None = FLOAT,
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> ir.Value:
        """Append an operator with one output, named after the module that is at work."""
        return self.several(
            kind, *inputs, shapes=[shape], dtype=dtype, attributes=attributes, domain=domain
        )[0]

    def several(
        self,
        kind: str,
        *inputs: ir.Value | None,
        shapes: Sequence[Iterable[Any]],
        dtype: ir.DataType | None = FLOAT,
        attributes: Mapping[str, Any] | None = None,
        domain: str = "",
    ) -> tuple[ir.Value, ...]:
        """Append an operator with an output of each of the shapes."""
        name = self._unique(f"{self.scope}.{kind}" if self.scope else kind)
        outputs = [
            ir.Value(
                name=name if len(shapes) == 1 else f"{name}.{place}",
                type=ir.TensorType(dtype or FLOAT),
                shape=self.axes.shape(list(shape)),
            )
            for place, shape in enumerate(shapes)
        ]
        packed = [
            ir.convenience.convert_attribute(key, item) for key, item in (attributes or {}).items()
        ]
        self.nodes.append(ir.Node(domain, kind, inputs, packed, outputs=outputs, name=name))
        return tuple(outputs)

    def constant(self, array: Any, dtype: ir.DataType | None = None) -> ir.Value:
        """A constant; equal ones are one."""
        values = np.asarray(array) if dtype is None else np.asarray(array, dtype.numpy())
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            name = self._unique(_constant_name(values))
            self._constants[key] = self.table(name, values)
        return self._constants[key]

    def table(self, name: str, array: NDArray[Any]) -> ir.Value:
        """A constant under a name of its own."""
        value = initializer(
            name, ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
        )
        self.initializers[name] = value
        return value

    def placeholder(self, name: str, shape: Sequence[int]) -> ir.Value:
        """A parameter whose weight is bound later."""
        value = ir.Value(name=name, type=ir.TensorType(FLOAT), shape=ir.Shape(shape))
        self.initializers[name] = value
        return value

    def cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """The value in another type, if it is not of it already."""
        if value.dtype == dtype:
            return value
        tensor = value.const_value
        if tensor is not None:
            return self.constant(tensor.numpy().astype(dtype.numpy()))
        assert value.shape is not None
        return self.op("Cast", value, shape=value.shape, dtype=dtype, attributes={"to": dtype})

    def _unique(self, name: str) -> str:
        self._counts[name] += 1
        count = self._counts[name]
        return name if count == 1 else f"{name}_{count}"


def dtype_of(tensor: Any) -> ir.DataType:
    """The graph's type for one of torch's.

    Raises:
        KeyError: There is none.
    """
    return _DTYPES[str(tensor if not hasattr(tensor, "dtype") else tensor.dtype)]


def _constant_name(values: NDArray[Any]) -> str:
    if values.size == 1:
        return f"constant_{values.reshape(-1)[0]}".replace("-", "minus_")
    if values.ndim == 1 and values.size <= 6 and values.dtype == np.int64:
        return "constant_" + "_".join(str(value) for value in values).replace("-", "minus_")
    return "constant_" + "x".join(str(size) for size in values.shape)
