"""W8A8 layers, read by compressed-tensors' own classes."""

from __future__ import annotations

import numpy as np
import pytest

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.encodings.w8a8 import W8A8
from targets.ipex.w8a8 import w8a8_config, w8a8_layer


def test_codes_and_scales_have_the_names_and_shapes_of_compressed_tensors():
    weight = ArrayWeight("m.weight", np.zeros((6, 5), np.float32))
    tensors, filled = w8a8_layer(Parameter(weight, W8A8()), W8A8())
    described = [(tensor.name, tensor.dtype, tensor.shape, tensor.nbytes) for tensor in tensors]
    assert described == [
        ("m.weight", "I8", (6, 5), 30),
        ("m.weight_scale", "F32", (6, 1), 24),
    ]
    assert filled.planes == ("m.weight", "m.weight_scale")


def test_compressed_tensors_understands_the_config():
    library = pytest.importorskip("compressed_tensors.quantization")
    config = library.QuantizationConfig.model_validate(w8a8_config(["model.layers.0.mlp.up_proj"]))
    (scheme,) = config.config_groups.values()
    assert (scheme.weights.num_bits, scheme.weights.type) == (8, "int")
    assert (scheme.weights.strategy, scheme.weights.symmetric) == ("channel", True)
    assert (scheme.input_activations.strategy, scheme.input_activations.dynamic) == (
        "token",
        True,
    )
    assert config.ignore == ["lm_head", "model.layers.0.mlp.up_proj"]
    assert config.format == "int-quantized"
    assert config.quantization_status == "compressed"
