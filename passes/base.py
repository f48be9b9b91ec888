"""The contract of a pass: requires, rewrite, ensures; and its claim to have changed is checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import onnx_ir as ir

from convert.parameter import Parameter


class Pass(ABC):
    """A rewrite of the graph in place.

    A pass reads shapes, dtypes and small constants, never weights. It refuses a graph by
    raising `convert.errors.PassRefusedError`, before anything was changed.
    """

    name: ClassVar[str]
    exact: ClassVar[bool]
    """True: logits stay equal to float32 rounding. False: the gate bounds the difference."""

    @abstractmethod
    def requires(self, model: ir.Model) -> None:
        """Raise PassRefusedError if the graph is not one that `rewrite` can rewrite."""

    @abstractmethod
    def rewrite(self, model: ir.Model) -> bool:
        """Rewrite the graph; return whether anything changed."""

    @abstractmethod
    def ensures(self, model: ir.Model) -> None:
        """Raise AssertionError if the graph does not have the form this pass promises."""

    def __call__(self, model: ir.Model) -> bool:
        """Apply the pass.

        Returns:
            Whether the graph changed.

        Raises:
            PassRefusedError: The pass cannot rewrite this graph.
            AssertionError: The pass broke its own contract.
        """
        self.requires(model)
        before = fingerprint(model)
        changed = self.rewrite(model)
        if changed != (fingerprint(model) != before):
            raise AssertionError(f"pass {self.name} reports changed={changed}, which is not so")
        self.ensures(model)
        return changed


def fingerprint(model: ir.Model) -> list[object]:
    """Everything in the graph but the weights' values, as values that no rewrite changes: to be
    compared, which takes half the time of a hash.
    """
    graph = model.graph
    parts: list[object] = [
        (value.name, str(value.shape), value.dtype) for value in (*graph.inputs, *graph.outputs)
    ]
    for name, value in sorted(graph.initializers.items()):
        tensor = value.const_value
        encoding = tensor.encoding if isinstance(tensor, Parameter) else None
        parts.append((name, str(value.shape), value.dtype, encoding.name if encoding else None))
    for node in graph:
        inputs = [value.name if value else None for value in node.inputs]
        outputs = [value.name for value in node.outputs]
        named = node.attributes  # few nodes have any
        attributes = sorted([(key, str(each)) for key, each in named.items()]) if named else ()
        parts.append((node.domain, node.op_type, node.name, inputs, outputs, attributes))
    parts.append(sorted(model.metadata_props.items()))
    return parts
