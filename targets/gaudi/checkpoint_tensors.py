"""Every tensor of a checkpoint for Gaudi: which weights fill them, and which are known already.

An FP8 linear layer ``M`` has ``M.weight`` (codes, ``[out, in]``), ``M.weight_scale`` (float32,
``[out, 1]``, or ``[1]`` for one scale), and with static activations ``M.input_scale`` (float32,
``[1]``): the largest input that calibration saw, divided by the card's largest code. An attention
layer ``A`` with an FP8 cache has ``A.k_scale`` and ``A.v_scale`` (float32, ``[1]``) likewise.
Names and shapes are those of compressed-tensors 0.20 (quantization/lifecycle/initialize.py);
vLLM takes them so, and gives the attention's to its ``attn`` (base_config.py,
``get_cache_scale_mapper``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import onnx_ir as ir

from convert.errors import UnsupportedEncodingError, UnsupportedError, UsageError
from convert.graph import attention_nodes, parameters
from convert.parameter import Parameter
from passes.encodings.base import Encoding
from passes.encodings.floats import FloatEncoding
from passes.encodings.fp8 import Fp8, Fp8Rows, Fp8Tensor
from targets.checkpoint_modules import linear_layers
from targets.checkpoint_tensors import CheckpointTensors, FilledTensor, float_tensor
from targets.gaudi.options import GaudiOptions
from targets.safetensors_layout import StoredTensor


class Magnitudes(Protocol):
    """What of a calibration's observations is needed: largest magnitudes."""

    @property
    def inputs(self) -> Mapping[str, float]:
        """Of what goes into each linear layer, by the name of its weight."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Of the weight of each linear layer, by its name."""

    @property
    def keys(self) -> Mapping[int, float]:
        """Of the keys of each layer, by its number."""

    @property
    def values(self) -> Mapping[int, float]:
        """Of the values of each layer, by its number."""


def needs_calibration(model: ir.Model, options: GaudiOptions) -> bool:
    """Whether a scale depends on what calibration observes."""
    encodings = [parameter.encoding for parameter in parameters(model).values()]
    of_tensors = any(isinstance(each, Fp8Tensor) and not each.is_bound for each in encodings)
    static = options.activations == "static" and any(isinstance(each, Fp8) for each in encodings)
    return of_tensors or static or options.kv_cache == "fp8"


def checkpoint_tensors(
    model: ir.Model, options: GaudiOptions, observed: Magnitudes | None = None
) -> CheckpointTensors:
    """Plan the tensors of all parameters, and of the scales beside them.

    Args:
        model: The graph with its parameters' encodings.
        options: Of the deployment.
        observed: What calibration saw; None if there was none.

    Raises:
        UsageError: A scale depends on a calibration, and there was none.
        UnsupportedError: The calibration did not see a layer that is in the graph.
        UnsupportedEncodingError: A parameter has an encoding that such a checkpoint lacks.
    """
    if observed is None and needs_calibration(model, options):
        raise UsageError(
            "static FP8 scales need a calibration",
            found="no observations of one",
            remedy="calibrate with a text, or choose fp8, activations: dynamic, kv_cache: bf16",
        )
    linear = {layer.weight.name for layer in linear_layers(model).values()}
    tensors: list[StoredTensor] = []
    filled: list[FilledTensor] = []
    for name, parameter in parameters(model).items():
        encoding = _bound(parameter, observed)
        own = _planes_of(parameter, encoding)
        filled.append(FilledTensor(parameter, encoding, tuple(tensor.name for tensor in own)))
        tensors += own
        if isinstance(encoding, Fp8Tensor):
            tensors.append(_scalar(f"{name}_scale", encoding.scale))
        if isinstance(encoding, Fp8) and name in linear and options.activations == "static":
            tensors.append(_input_scale(name, encoding, observed))
    if options.kv_cache == "fp8":
        tensors += _cache_scales(model, options, observed)
    return CheckpointTensors(tuple(tensors), tuple(filled))


def attention_modules(model: ir.Model) -> tuple[str, ...]:
    """Names of the attention modules, one a layer, in order."""
    return tuple((node.name or "").rpartition(".")[0] for node in attention_nodes(model))


def _bound(parameter: Parameter, observed: Magnitudes | None) -> Encoding:
    encoding, weight = parameter.encoding, parameter.weight
    if encoding is None:
        return FloatEncoding(weight.dtype)
    if isinstance(encoding, Fp8Tensor) and not encoding.is_bound:
        return encoding.bound(_seen(observed.weights if observed else {}, weight.name))
    return encoding


def _planes_of(parameter: Parameter, encoding: Encoding) -> list[StoredTensor]:
    weight = parameter.weight
    count = weight.rows * weight.columns
    if isinstance(encoding, FloatEncoding):
        return [float_tensor(weight, encoding)]
    if not isinstance(encoding, Fp8):
        raise UnsupportedEncodingError(
            f"the gaudi target cannot store {weight.name!r}",
            expected="bf16, fp8 or fp8_tensor",
            found=encoding.name,
        )
    codes = StoredTensor(weight.name, "F8_E4M3", weight.shape, count)
    if not isinstance(encoding, Fp8Rows):
        return [codes]
    scales = StoredTensor(f"{weight.name}_scale", "F32", (weight.rows, 1), 4 * weight.rows)
    return [codes, scales]


def _input_scale(name: str, encoding: Fp8, observed: Magnitudes | None) -> StoredTensor:
    largest = _seen(observed.inputs if observed else {}, name)
    module = name.removesuffix(".weight")
    return _scalar(f"{module}.input_scale", encoding.scale_for(largest))


def _cache_scales(
    model: ir.Model, options: GaudiOptions, observed: Magnitudes | None
) -> Sequence[StoredTensor]:
    largest_value = options.hardware.fp8_largest
    if observed is None or largest_value is None:
        raise UsageError("an FP8 cache needs a calibration and a card with FP8")
    scale_for = Fp8Tensor(int(largest_value)).scale_for
    return [
        _scalar(f"{module}.{kind}_scale", scale_for(_seen(seen, layer)))
        for layer, module in enumerate(attention_modules(model))
        for kind, seen in (("k", observed.keys), ("v", observed.values))
    ]


def _seen(magnitudes: Mapping[str, float] | Mapping[int, float], of: str | int) -> float:
    found: float | None = dict(magnitudes).get(of)  # type: ignore[arg-type]
    if found is None:
        raise UnsupportedError(
            "the calibration did not see a layer of this model",
            expected=f"a magnitude for {of!r}",
            remedy="calibrate this model anew",
        )
    return found


def _scalar(name: str, value: np.float32) -> StoredTensor:
    return StoredTensor(name, "F32", (1,), 4, np.array([value], "<f4").tobytes())
