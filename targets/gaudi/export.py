"""A static decoder as a program file: exported from shapes alone, the same bytes each time.

Weights and caches are arguments of the program, in dicts by the names that the safetensors files
and the cache have, so that the file holds operations and a few constants. Nothing is allocated:
the arguments of the export are fake.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import ExportedProgram

from convert.architectures import architecture_of
from convert.errors import TensorMismatchError
from convert.weights import ArrayWeight
from passes.static_cache import StaticCache
from targets.gaudi.lower import StaticDecoder, cache_dtypes
from targets.gaudi.programs import TensorForm
from targets.ranks.shard import Shard

DTYPES = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F8_E4M3": torch.float8_e4m3fn,
}
"""By the names that safetensors has for them."""

_KEPT_METADATA = frozenset({"val", "tensor_meta"})
"""What of a node is meaning; the rest says where in this machine's files it was traced."""

_CHECKS = torch.ops.aten._assert_tensor_metadata.default
"""Put beside every cast by export; it computes nothing and names a device."""


_STORAGE = "quantization_config"


def static_graph(
    config: Mapping[str, Any],
    *,
    batch: int,
    tokens: int,
    context: int,
    shard: Shard | None = None,
) -> ir.Model:
    """The graph of one shape from config.json alone; its weights are all zeros and take no room.

    Args:
        config: config.json; what it says of quantization is how weights are stored, no more.
        batch: Sequences in a batch.
        tokens: New tokens of each: 1 for decoding, the size of the bucket for a prefill.
        context: Slots of the cache.
        shard: The rank whose part it computes; None for the whole model.

    Raises:
        UnsupportedError: The architecture or a key of the config is not supported.
        BrokenInputError: The config contradicts itself.
    """
    architecture = architecture_of(config)
    parsed = architecture.parse({key: value for key, value in config.items() if key != _STORAGE})
    nothing = np.zeros((), ml_dtypes.bfloat16)
    weights = {
        name: ArrayWeight(name, np.broadcast_to(nothing, size))
        for name, size in architecture.parameters(parsed).items()
    }
    model = architecture.build(parsed, weights)
    if shard is not None:
        shard.cut(model)
    StaticCache(batch=batch, tokens=tokens, length=context)(model)
    return model


def export(
    model: ir.Model, tensors: Mapping[str, TensorForm], largest_code: float = 448.0
) -> ExportedProgram:
    """Trace a static graph.

    Args:
        model: In the static cache form.
        tensors: What the safetensors files hold.
        largest_code: Largest magnitude of an FP8 code.

    Returns:
        A program of the arguments of `StaticDecoder.forward`.

    Raises:
        PassRefusedError: The graph has an operator without a lowering.
        TensorMismatchError: The files lack a weight of the graph.
    """
    decoder = StaticDecoder(model, tensors, largest_code)
    with FakeTensorMode(allow_non_fake_inputs=True):
        weights = {name: _empty(name, tensors) for name in decoder.weights}
        dtypes = cache_dtypes(decoder, weights)
        caches = {
            name: torch.empty(size, dtype=dtypes[name]) for name, size in decoder.caches.items()
        }
        arguments = (*_plain_inputs(model), weights, caches)
    return _without_traces(torch.export.export(decoder, arguments))


def to_bytes(program: ExportedProgram) -> bytes:
    """The file of a program."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _empty(name: str, tensors: Mapping[str, TensorForm]) -> Tensor:
    form = tensors.get(name)
    if form is None:
        raise TensorMismatchError(f"the checkpoint lacks {name!r}, which its graph reads")
    return torch.empty(form.shape, dtype=DTYPES[form.dtype])


def _plain_inputs(model: ir.Model) -> tuple[Tensor, ...]:
    sizes = {value.name: tuple(value.shape.numpy()) for value in model.graph.inputs if value.shape}
    names = ("input_ids", "attention_mask", "input_ids", "cache_position")
    return tuple(torch.empty(sizes[name], dtype=torch.int64) for name in names)


def _without_traces(program: ExportedProgram) -> ExportedProgram:
    """Remove what differs from machine to machine, or repeats the arguments."""
    graph = program.graph
    for node in list(graph.nodes):
        if node.target is _CHECKS:
            graph.erase_node(node)
            continue
        for key in set(node.meta) - _KEPT_METADATA:
            del node.meta[key]
    program.graph_module.recompile()
    program._example_inputs = None
    return program
