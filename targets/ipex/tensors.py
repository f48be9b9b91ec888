"""Every tensor of a checkpoint for PyTorch on Xeon, and what config.json says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from convert.parameter import Parameter
from passes.encodings.base import Encoding
from passes.encodings.floats import FloatEncoding
from passes.encodings.integers import IntegerEncoding
from passes.encodings.w8a8 import W8A8
from targets.checkpoint_modules import linear_layers, require_alike
from targets.checkpoint_tensors import CheckpointTensors, FilledTensor, float_tensor
from targets.ipex.gptq import gptq_config, gptq_layer
from targets.ipex.w8a8 import w8a8_config, w8a8_layer
from targets.safetensors_layout import StoredTensor

WEIGHT = ".weight"


@dataclass(frozen=True)
class QuantizedCheckpoint:
    """The tensors, and ``quantization_config``; None where all are floats."""

    tensors: CheckpointTensors
    quantization: dict[str, Any] | None


def checkpoint_tensors(model: ir.Model) -> QuantizedCheckpoint:
    """Plan the tensors of all parameters.

    Args:
        model: The graph with its parameters' encodings.

    Raises:
        UnsupportedEncodingError: A parameter has an encoding that such a checkpoint lacks, or
            another than layers that it goes together with.
    """
    layers = linear_layers(model)
    quantization = _quantization({name: _encoding(layer) for name, layer in layers.items()})
    tensors: list[StoredTensor] = []
    filled: list[FilledTensor] = []
    for name, parameter in parameters(model).items():
        own, fills = _stored(parameter, is_layer=name.removesuffix(WEIGHT) in layers)
        tensors += own
        filled.append(fills)
    return QuantizedCheckpoint(CheckpointTensors(tuple(tensors), tuple(filled)), quantization)


def _stored(
    parameter: Parameter, *, is_layer: bool
) -> tuple[tuple[StoredTensor, ...], FilledTensor]:
    name, encoding = parameter.weight.name, _encoding(parameter)
    if isinstance(encoding, FloatEncoding):
        return (float_tensor(parameter.weight, encoding),), FilledTensor(
            parameter, encoding, (name,)
        )
    if not is_layer or not name.endswith(WEIGHT):
        raise UnsupportedEncodingError(
            f"the ipex target cannot store {name!r} as {encoding.name}",
            expected="codes for the weights of linear layers only",
            remedy="leave embeddings, the head and norms in bf16",
        )
    if isinstance(encoding, W8A8):
        return w8a8_layer(parameter, encoding)
    if isinstance(encoding, IntegerEncoding) and encoding.family == "int4_sym":
        return gptq_layer(name.removesuffix(WEIGHT), parameter, encoding)
    raise UnsupportedEncodingError(
        f"the ipex target cannot store {name!r}",
        expected="bf16, f32, int4_sym or w8a8",
        found=encoding.name,
    )


def _quantization(layers: Mapping[str, Encoding]) -> dict[str, Any] | None:
    """``quantization_config`` of linear layers by the names of their modules."""
    plain = [name for name, own in layers.items() if isinstance(own, FloatEncoding)]
    coded = {name: own for name, own in layers.items() if name not in plain}
    kinds = {own.name: own for own in coded.values()}
    require_alike({name: own.name for name, own in layers.items()})
    if len(kinds) > 1:
        raise UnsupportedEncodingError(
            "a checkpoint of this kind has one format and one group size for all layers",
            expected="one encoding, beside floats",
            found=", ".join(sorted(kinds)),
            remedy="override with bf16 only",
        )
    for encoding in kinds.values():
        if isinstance(encoding, W8A8):
            return w8a8_config(plain)
        if isinstance(encoding, IntegerEncoding) and encoding.group is not None:
            return gptq_config(encoding.group, plain)
    return None


def _encoding(parameter: Parameter) -> Encoding:
    return parameter.encoding or FloatEncoding(parameter.weight.dtype)
