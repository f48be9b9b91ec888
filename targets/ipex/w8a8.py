"""Linear layers of 8 bits with 8-bit inputs, as compressed-tensors has them.

A layer ``M`` has ``M.weight``, int8 ``[out, in]``, and ``M.weight_scale``, float32 ``[out, 1]``.
The inputs are scaled token by token when the model runs. Format ``int-quantized``
(compressed-tensors 0.20, quantization/quant_config.py, lifecycle/initialize.py); vLLM on the CPU
computes it by integer products, transformers decompresses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.parameter import Parameter
from passes.encodings.w8a8 import W8A8
from targets.checkpoint_modules import HEAD_MODULE
from targets.checkpoint_tensors import FilledTensor
from targets.safetensors_layout import StoredTensor

_EIGHT_BITS = {"num_bits": 8, "type": "int", "symmetric": True}


def w8a8_layer(
    parameter: Parameter, encoding: W8A8
) -> tuple[tuple[StoredTensor, ...], FilledTensor]:
    """The tensors of a layer, and what fills them."""
    weight = parameter.weight
    codes, scales = weight.name, f"{weight.name}_scale"
    tensors = (
        StoredTensor(codes, "I8", weight.shape, weight.rows * weight.columns),
        StoredTensor(scales, "F32", (weight.rows, 1), 4 * weight.rows),
    )
    return tensors, FilledTensor(parameter, encoding, (codes, scales))


def w8a8_config(plain: Sequence[str]) -> dict[str, Any]:
    """What config.json has under ``quantization_config``.

    Args:
        plain: Modules of linear layers that are not quantized, the head left out.
    """
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {**_EIGHT_BITS, "strategy": "channel", "dynamic": False},
                "input_activations": {**_EIGHT_BITS, "strategy": "token", "dynamic": True},
                "output_activations": None,
            }
        },
        "ignore": [HEAD_MODULE, *plain],
        "kv_cache_scheme": None,
    }
