"""Which tensors a GGUF holds: names, encodings, row orders, and the factors of llama3's RoPE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig, Rope
from convert.errors import UnsupportedConfigError
from convert.parameter import Parameter
from convert.weights import ArrayWeight, Weight
from passes.encodings import encoding
from passes.encodings.base import Encoding
from targets.gguf.families import Family, interleaved_rows

_MODULES = (
    "model.embed_tokens",
    "model.norm",
    "lm_head",
    "model.layers.{layer}.input_layernorm",
    "model.layers.{layer}.post_attention_layernorm",
    "model.layers.{layer}.self_attn.q_proj",
    "model.layers.{layer}.self_attn.k_proj",
    "model.layers.{layer}.self_attn.v_proj",
    "model.layers.{layer}.self_attn.o_proj",
    "model.layers.{layer}.self_attn.q_norm",
    "model.layers.{layer}.self_attn.k_norm",
    "model.layers.{layer}.mlp.gate_proj",
    "model.layers.{layer}.mlp.up_proj",
    "model.layers.{layer}.mlp.down_proj",
)
_SUFFIXES = (".weight", ".bias")


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the file.

    Args:
        name: Its name in the GGUF.
        weight: Where its values come from.
        encoding: How they are stored.
        row_order: See `targets.base.WriteJob`.
    """

    name: str
    weight: Weight
    encoding: Encoding
    row_order: NDArray[np.int64] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes in the file, without padding."""
        return self.encoding.nbytes(self.weight.rows, self.weight.columns)


def stored_tensors(
    model: ir.Model, config: DecoderConfig, family: Family
) -> tuple[StoredTensor, ...]:
    """Every parameter of the graph as llama.cpp wants it, then the RoPE factors if any.

    Raises:
        UnsupportedConfigError: llama.cpp has no name for a parameter.
    """
    names = name_map(family.architecture, config.layers)
    parameters = [
        value.const_value
        for value in model.graph.initializers.values()
        if isinstance(value.const_value, Parameter)
    ]
    stored = [_stored(parameter, names, config, family) for parameter in parameters]
    return (*stored, *(_rope(config.rope, config.head_dim) if config.rope is not None else ()))


def hugging_face_names(architecture: str, layers: int) -> dict[str, str]:
    """Names of the checkpoint by the names in the GGUF."""
    names = name_map(architecture, layers)
    found: dict[str, str] = {}
    for pattern in _MODULES:
        for layer in range(layers if "{" in pattern else 1):
            for suffix in _SUFFIXES:
                original = pattern.format(layer=layer) + suffix
                stored = names.get_name(original, try_suffixes=_SUFFIXES)
                if stored is not None:
                    found[stored] = original
    return found


def name_map(architecture: str, layers: int) -> Any:
    """The gguf package's map from names of the checkpoint."""
    import gguf

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    return gguf.get_tensor_name_map(kinds[architecture], layers)


def _stored(
    parameter: Parameter, names: Any, config: DecoderConfig, family: Family
) -> StoredTensor:
    weight = parameter.weight
    name = names.get_name(weight.name, try_suffixes=_SUFFIXES)
    if name is None:
        raise UnsupportedConfigError(
            f"llama.cpp's architecture {family.architecture!r} has no tensor for {weight.name!r}"
        )
    chosen = parameter.encoding or encoding(weight.dtype.value)
    if len(weight.shape) == 1:
        # llama.cpp adds and multiplies vectors in float32 and has kernels for nothing else.
        chosen = encoding("f32")
    return StoredTensor(name, weight, chosen, row_order(weight.name, config, family))


def row_order(name: str, config: DecoderConfig, family: Family) -> NDArray[np.int64] | None:
    """Order in which the rows of a parameter are stored; None for its own."""
    module = name.rpartition(".")[0]
    if family.interleaved and module.endswith(".q_proj"):
        return interleaved_rows(config.heads, config.head_dim)
    if family.interleaved and module.endswith(".k_proj"):
        return interleaved_rows(config.kv_heads, config.head_dim)
    return None


def _rope(rope: Rope, head_dim: int) -> Iterator[StoredTensor]:
    if rope.kind == "llama3":
        factors = llama3_factors(rope, head_dim)
        yield StoredTensor("rope_freqs.weight", ArrayWeight("rope_freqs", factors), encoding("f32"))


def llama3_factors(rope: Rope, head_dim: int) -> NDArray[np.float32]:
    """What llama.cpp divides each frequency by, ``[head_dim / 2]``.

    The rule is that of ``_compute_llama3_parameters`` in transformers' modeling_rope_utils.py:
    short wavelengths stay, long ones are stretched by the factor, those between are blended.
    """
    exponents = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
    wavelengths = 2 * math.pi * rope.theta**exponents
    longest = rope.original_max_positions / rope.low_freq_factor
    shortest = rope.original_max_positions / rope.high_freq_factor
    blend = (rope.original_max_positions / wavelengths - rope.low_freq_factor) / (
        rope.high_freq_factor - rope.low_freq_factor
    )
    between = 1 / ((1 - blend) / rope.factor + blend)
    factors = np.where(wavelengths > longest, rope.factor, between)
    return np.where(wavelengths < shortest, 1.0, factors).astype(np.float32)
