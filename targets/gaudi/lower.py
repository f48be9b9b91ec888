"""A static decoder graph as a torch module: what a graph capture on a card would hold.

Every shape is an int, positions are tensors on the device, and weights and caches are arguments,
by name; the caches are written in place. What the graph computes from constants alone is computed
here once, so that the module's forward is a straight line of tensor operations.

A weight ``M.weight`` with ``M.weight_scale`` beside it is FP8, and so is the cache of an attention
``A`` with ``A.k_scale`` and ``A.v_scale``; see `targets.gaudi.checkpoint_tensors`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import onnx_ir as ir
import torch
from torch import Tensor, nn

from convert.errors import PassRefusedError
from convert.graph import LOGITS, parameters
from passes.cache_form import FORM, PARTS
from targets.gaudi import fp8
from targets.gaudi.constants import fold_constants, integers
from targets.gaudi.linear import linear_layer
from targets.gaudi.operators import STATIC_INPUTS, angles_for, operator_of
from targets.gaudi.scales import StoredScales
from targets.gaudi.steps import CACHE_PREFIX, PRESENT_PREFIX, Input, Step, with_last_uses

INPUTS = ("input_ids", "attention_mask", "position_ids", "cache_position")
"""The first arguments of `StaticDecoder.forward`, in order."""


class StaticDecoder(nn.Module):
    """The graph of one shape: so many new tokens against a cache of fixed length.

    Args:
        model: A graph in the static cache form.
        tensors: Names of all that is stored beside the weights' own, that is: scales.
        largest_code: Largest magnitude of an FP8 code.

    Raises:
        PassRefusedError: The graph is not in static form or has an operator without a lowering.
        TensorMismatchError: An FP8 weight or cache lacks a scale.
    """

    def __init__(
        self, model: ir.Model, tensors: Collection[str] = (), largest_code: float = 448.0
    ) -> None:
        super().__init__()
        if model.metadata_props.get(FORM) != "static":
            raise PassRefusedError("the KV cache is not in static form", model.graph.name or "")
        constants = fold_constants(model.graph)
        self._replaced = _replaced(model.graph)
        scales = StoredScales.of(model, tensors, largest_code)
        steps = list(_translate(model.graph, constants, scales))
        self._steps = with_last_uses(steps, kept={LOGITS, *self._replaced})
        used = {name for step in self._steps for name in step.inputs if isinstance(name, str)}
        self.weights = tuple(
            name for name in (*parameters(model), *sorted(tensors)) if name in used
        )
        self.caches = cache_shapes(model)
        self.fp8_cache = scales.has_cache
        self._constants: dict[str, str] = {}
        for name, tensor in constants.items():
            if name in used:
                self._constants[name] = f"constant_{len(self._constants)}"
                self.register_buffer(self._constants[name], tensor)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor,
        cache_position: Tensor,
        weights: Mapping[str, Tensor],
        caches: Mapping[str, Tensor],
    ) -> Tensor:
        """Feed tokens; writes the caches.

        Args:
            input_ids: ``[batch, tokens]``.
            attention_mask: ``[batch, slots]``, 1 where a slot holds a token of the sequence.
            position_ids: ``[batch, tokens]``.
            cache_position: ``[1]``, the slot of the first new token.
            weights: By the names of `weights`; their dtype is that of the computation.
            caches: By the names and of the shapes of `caches`.

        Returns:
            Logits ``[batch, tokens, vocab]``.
        """
        given = (input_ids, attention_mask, position_ids, cache_position)
        values: dict[str, Tensor] = dict(zip(INPUTS, given, strict=True))
        values |= {name: weights[name] for name in self.weights}
        values |= {name: caches[name] for name in self.caches}
        values |= {name: getattr(self, buffer) for name, buffer in self._constants.items()}
        for step in self._steps:
            inputs = [values[name] if isinstance(name, str) else name for name in step.inputs]
            found = step.operator(step.attributes, *inputs)
            outputs = (found,) if isinstance(found, Tensor) else found
            values |= zip(step.outputs, outputs, strict=True)
            for name in step.last_uses:
                del values[name]
        for present, past in self._replaced.items():
            caches[past].copy_(values[present])
        return values[LOGITS]


def cache_shapes(model: ir.Model) -> dict[str, tuple[int, ...]]:
    """Shape of every cache of a graph in static form, by name."""
    return {
        value.name: tuple(value.shape.numpy())
        for value in model.graph.inputs
        if value.name and value.name.startswith(CACHE_PREFIX) and value.shape is not None
    }


def cache_dtypes(decoder: StaticDecoder, weights: Mapping[str, Tensor]) -> dict[str, torch.dtype]:
    """Dtype of every cache: that of the computation, FP8 for keys and values that have scales."""
    computed = next(tensor.dtype for tensor in weights.values() if tensor.dtype is not fp8.CODES)
    stored = fp8.CODES if decoder.fp8_cache else computed
    kinds = {True: stored, False: computed}
    return {name: kinds[name.rpartition(".")[2] in PARTS] for name in decoder.caches}


def _replaced(graph: ir.Graph) -> dict[str, str]:
    """The present of every cache that is not written in place already, and its past."""
    return {
        _name(value): _name(value).replace(PRESENT_PREFIX, CACHE_PREFIX, 1)
        for value in graph.outputs
        if _name(value).startswith(PRESENT_PREFIX) and not _is_written_in_place(value)
    }


def _is_written_in_place(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "TensorScatter"


def _translate(
    graph: ir.Graph, constants: Mapping[str, Tensor], scales: StoredScales
) -> Iterator[Step]:
    summed: set[ir.Node | None] = set()
    turned: set[str] = set()
    for node in graph:
        layer = linear_layer(node)
        if layer is not None:
            summed.add(layer.sum)
            yield scales.linear(layer)
        elif node.op_type == "TensorScatter":
            yield from scales.write(node)
        elif node.op_type == "RotaryEmbedding":
            yield from _rotation(node, turned)
        elif node not in summed and any(_name(value) not in constants for value in node.outputs):
            yield _step(node, constants, scales)


def _rotation(node: ir.Node, turned: set[str]) -> Iterator[Step]:
    """A rotation, and before the first of several by the same angles, these as all can use them."""
    x, *angles = (_name(value) for value in node.inputs if value is not None)
    for name in angles:
        if name not in turned:
            turned.add(name)
            yield Step(angles_for, {}, (name, x), (f"{name}.angles",))
    prepared = (f"{name}.angles" for name in angles)
    yield Step(operator_of(node), {}, (x, *prepared), (_name(node.outputs[0]),))


def _step(node: ir.Node, constants: Mapping[str, Tensor], scales: StoredScales) -> Step:
    attributes = {name: attribute.value for name, attribute in node.attributes.items()}
    inputs, outputs = _inputs(node, constants), tuple(_name(value) for value in node.outputs)
    for name in inputs:
        scales.refuse_fp8(name, node)
    return Step(operator_of(node), attributes, tuple(inputs), outputs)


def _inputs(node: ir.Node, constants: Mapping[str, Tensor]) -> list[Input]:
    static = STATIC_INPUTS.get(node.op_type, ())
    inputs: list[Input] = []
    for position, value in enumerate(node.inputs):
        if value is None:
            inputs.append(None)
        elif position not in static:
            inputs.append(_name(value))
        elif _name(value) in constants:
            inputs.append(integers(constants[_name(value)]))
        else:
            raise PassRefusedError(f"{_name(value)!r} depends on the data", node.name or "")
    return inputs


def _name(value: ir.Value) -> str:
    if value.name is None:
        raise ValueError("a value of the graph has no name")
    return value.name
