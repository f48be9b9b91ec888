"""``quantization_config`` of an FP8 checkpoint, as compressed-tensors and vLLM on Gaudi read it.

Format ``float-quantized`` (compressed-tensors 0.20, quantization/quant_config.py). What vLLM on
Gaudi (commit 091bbad, vllm_gaudi/ops/hpu_compressed_tensors.py) makes of it:

- On a Gaudi2 it halves every stored code and doubles every scale while loading, because it takes
  checkpoints for quantized to 448, unless ``fp8_dtype_flavor`` is ``float8_e4m3fnuz``. That key
  means the range only; the bytes stay float8_e4m3fn's. It also tells the loader whether KV-cache
  scales stand for 240 or 448.
- A layer whose parts vLLM fuses (q, k and v; gate and up) must be quantized in all parts alike.
- A matrix that is stored fused (BLOOM's query_key_value) and has one scale depends on vLLM giving
  that scale to each part (vllm/model_executor/layers/linear.py does, commit 0036d38). Scales for
  each row are simply reordered with the rows (models/bloom.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError
from convert.graph import parameters
from convert.parameter import Parameter
from passes.encodings.fp8 import Fp8, Fp8Rows
from targets.checkpoint_modules import HEAD_MODULE, linear_layers, require_alike
from targets.gaudi.options import GaudiOptions

_EIGHT_BIT_FLOAT = {"num_bits": 8, "type": "float", "symmetric": True}


def quantization_config(model: ir.Model, options: GaudiOptions) -> dict[str, Any] | None:
    """What config.json has under ``quantization_config``; None where no weight is FP8.

    Args:
        model: The graph with its parameters' encodings.
        options: Of the deployment.

    Raises:
        UnsupportedEncodingError: Something is to be FP8 that the card or vLLM cannot have so.
    """
    layers = linear_layers(model)
    check(model, layers, options)
    schemes = {module: strategy(layer) for module, layer in layers.items()}
    if not any(schemes.values()):
        return None
    config: dict[str, Any] = {
        "quant_method": "compressed-tensors",
        "format": "float-quantized",
        "quantization_status": "compressed",
        "config_groups": _groups(schemes, options),
        "ignore": [HEAD_MODULE, *(module for module, scheme in schemes.items() if not scheme)],
        "kv_cache_scheme": None,
    }
    if options.kv_cache == "fp8":
        config["kv_cache_scheme"] = {**_EIGHT_BIT_FLOAT, "strategy": "tensor", "dynamic": False}
    if options.hardware.fp8_flavor:
        config["fp8_dtype_flavor"] = options.hardware.fp8_flavor
    return config


def strategy(layer: Parameter) -> str | None:
    """What compressed-tensors calls the scales of a weight; None where it is not FP8."""
    if not isinstance(layer.encoding, Fp8):
        return None
    return "channel" if isinstance(layer.encoding, Fp8Rows) else "tensor"


def check(model: ir.Model, layers: Mapping[str, Parameter], options: GaudiOptions) -> None:
    """Refuse FP8 where a card or a loader has none.

    Raises:
        UnsupportedEncodingError: The card has no FP8 or a smaller range; a tensor that is no
            weight of a linear layer is to be FP8; parts that vLLM fuses differ.
    """
    linear = {layer.weight.name for layer in layers.values()}
    for name, parameter in parameters(model).items():
        if isinstance(parameter.encoding, Fp8):
            _check_range(name, parameter.encoding, options)
            if name not in linear or not name.endswith(".weight"):
                raise UnsupportedEncodingError(
                    f"the gaudi target cannot store {name!r} as {parameter.encoding.name}",
                    expected="FP8 for the weights of linear layers only",
                    remedy="leave embeddings, the head and norms in bf16",
                )
    require_alike({module: strategy(layer) or "bf16" for module, layer in layers.items()})


def _check_range(name: str, encoding: Fp8, options: GaudiOptions) -> None:
    card = options.hardware
    if card.fp8_largest is None or encoding.largest_value > card.fp8_largest:
        raise UnsupportedEncodingError(
            f"{card.title} cannot hold {name!r} as {encoding.name}",
            expected=f"codes up to {card.fp8_largest:g}" if card.fp8_largest else "bf16",
            found=f"codes up to {encoding.largest_value}",
            remedy="choose another card, or another encoding",
        )


def _groups(schemes: Mapping[str, str | None], options: GaudiOptions) -> dict[str, Any]:
    """A group for each kind of scale; the only one covers all linear layers by their class."""
    kinds = sorted({scheme for scheme in schemes.values() if scheme})
    dynamic = options.activations == "dynamic"
    inputs = {
        **_EIGHT_BIT_FLOAT,
        "strategy": "token" if dynamic else "tensor",
        "dynamic": dynamic,
    }
    groups: dict[str, Any] = {}
    for number, kind in enumerate(kinds):
        named = [module for module, scheme in schemes.items() if scheme == kind]
        groups[f"group_{number}"] = {
            "targets": named if len(kinds) > 1 else ["Linear"],
            "weights": {**_EIGHT_BIT_FLOAT, "strategy": kind, "dynamic": False},
            "input_activations": inputs,
            "output_activations": None,
        }
    return groups
