"""AllReduce and AllGather as operators of an IR, carried out by whoever runs the ranks.

OpenVINO has no such operators. In the IR they are layers of type ``AllReduce`` and ``AllGather``
in the opset ``extension``; who reads it registers an implementation: this one, or one in C++ on
MPI or oneCCL with the same attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from openvino import Dimension, DiscreteTypeInfo, Node, Op

from passes.sharding.collectives import ALL_GATHER, ALL_REDUCE

Floats = NDArray[np.float32]


class Exchange(Protocol):
    """How the ranks exchange values; all of them call the same in the same order."""

    def all_reduce(self, values: Floats) -> None:
        """Replace ``values`` by their sum over the ranks."""

    def all_gather(self, part: Floats, lengths: Sequence[int]) -> list[Floats]:
        """The parts of all ranks, which have ``lengths[rank]`` rows."""


class _Collective(Op):  # type: ignore[misc]
    """What OpenVINO wants to know of an operator of ours.

    Args:
        inputs: The value to exchange; None if the attributes are about to be read.
        attributes: As in the IR; None for placeholders of their types.
    """

    kind: ClassVar[str]
    defaults: ClassVar[dict[str, Any]]
    exchange: ClassVar[Exchange | None] = None

    def __init__(
        self, inputs: Sequence[Any] | None = None, attributes: dict[str, Any] | None = None
    ) -> None:
        super().__init__(self)
        self.attributes = dict(self.defaults if attributes is None else attributes)
        if inputs is not None:
            self.set_arguments(inputs)
            self.constructor_validate_and_infer_types()

    def get_type_info(self) -> DiscreteTypeInfo:
        return self.class_type_info

    def clone_with_new_inputs(self, inputs: Sequence[Any]) -> Node:
        return type(self)(inputs, self.attributes)

    def visit_attributes(self, visitor: Any) -> bool:
        visitor.on_attributes(self.attributes)
        return True

    def has_evaluate(self) -> bool:
        return self.exchange is not None


class AllReduce(_Collective):
    """The sum over the ranks."""

    kind = ALL_REDUCE
    class_type_info = DiscreteTypeInfo(ALL_REDUCE, "extension")
    defaults: ClassVar[dict[str, Any]] = {"group_size": 0}

    def validate_and_infer_types(self) -> None:
        self.set_output_type(0, self.get_input_element_type(0), self.get_input_partial_shape(0))

    def evaluate(self, outputs: Any, inputs: Any) -> bool:
        assert self.exchange is not None
        outputs[0].shape = inputs[0].shape
        np.copyto(outputs[0].data, inputs[0].data)
        self.exchange.all_reduce(outputs[0].data)
        return True


class AllGather(_Collective):
    """The ranks' parts joined along ``axis``, ``lengths[rank]`` of each."""

    kind = ALL_GATHER
    class_type_info = DiscreteTypeInfo(ALL_GATHER, "extension")
    defaults: ClassVar[dict[str, Any]] = {"group_size": 0, "axis": 0, "lengths": [0]}

    def validate_and_infer_types(self) -> None:
        shape = self.get_input_partial_shape(0)
        shape[self.attributes["axis"]] = Dimension(sum(self.attributes["lengths"]))
        self.set_output_type(0, self.get_input_element_type(0), shape)

    def evaluate(self, outputs: Any, inputs: Any) -> bool:
        assert self.exchange is not None
        axis, lengths = self.attributes["axis"], self.attributes["lengths"]
        part = np.ascontiguousarray(np.moveaxis(inputs[0].data, axis, 0))
        whole = np.concatenate(self.exchange.all_gather(part, lengths))
        outputs[0].shape = [
            sum(lengths) if index == axis else size for index, size in enumerate(inputs[0].shape)
        ]
        np.copyto(outputs[0].data, np.moveaxis(whole, 0, axis))
        return True


def lower_collective(node: ir.Node, x: Node) -> Node:
    """The operator for a collective of the graph, over the lowered value ``x``."""
    ranks = node.attributes["group_size"].as_int()
    if node.op_type == ALL_REDUCE:
        return AllReduce([x.output(0)], {"group_size": ranks})
    axis = node.attributes["axis"].as_int()
    given = node.attributes.get("lengths")
    if given is None:
        own = x.get_output_partial_shape(0)[axis].get_length()
        lengths = [own] * ranks
    else:
        lengths = [int(length) for length in given.as_ints()]
    return AllGather([x.output(0)], {"group_size": ranks, "axis": axis, "lengths": lengths})


def operators(exchange: Exchange) -> tuple[type[Op], ...]:
    """The operators, carried out by ``exchange``, to be registered before an IR is read."""
    return tuple(
        type(operator.__name__, (operator,), {"exchange": exchange})
        for operator in (AllReduce, AllGather)
    )
