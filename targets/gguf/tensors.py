"""Which tensors a GGUF holds: names, encodings, row orders, and the factors of llama3's RoPE."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig, Rope
from convert.errors import UnsupportedConfigError, UnsupportedEncodingError
from convert.gguf_rows import row_order
from convert.parameter import Parameter
from convert.weights import ArrayWeight, Weight
from passes.encodings import encoding
from passes.encodings.base import Encoding
from targets.base import Placement, WriteJob
from targets.gguf.families import Family

_SUFFIXES = (".weight", ".bias")

_EXPERT = re.compile(r"\.experts\.\d+\.")

_VECTOR = "ffn_gate_inp_shexp.weight"
"""A matrix of one row that llama.cpp takes for a vector."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of the file.

    Args:
        name: Its name in the GGUF.
        weight: Where its values come from.
        encoding: How they are stored.
        row_order: See `targets.base.WriteJob`.
        stacked: All matrices of a tensor that holds one for each expert, with their encodings;
            they lie one behind the other. The first are ``weight`` and ``encoding``.
    """

    name: str
    weight: Weight
    encoding: Encoding
    row_order: NDArray[np.int64] | None = None
    stacked: tuple[tuple[Weight, Encoding], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Row-major, as numpy has it."""
        if self.name.endswith(_VECTOR):
            return self.weight.shape[1:]
        return (len(self.stacked), *self.weight.shape) if self.stacked else self.weight.shape

    @property
    def nbytes(self) -> int:
        """Bytes in the file, without padding."""
        one = self.encoding.nbytes(self.weight.rows, self.weight.columns)
        return one * max(1, len(self.stacked))

    def jobs(self, file: str, offset: int) -> Iterator[WriteJob]:
        """What fills the tensor.

        Args:
            file: Path below the artifact's folder.
            offset: Of the tensor's first byte in it.
        """
        parts = self.stacked or ((self.weight, self.encoding),)
        size = self.nbytes // len(parts)
        for number, (weight, chosen) in enumerate(parts):
            place = Placement(file, offset + number * size)
            yield WriteJob(weight, chosen, (place,), self.row_order)


def stored_tensors(
    model: ir.Model, config: DecoderConfig, family: Family
) -> tuple[StoredTensor, ...]:
    """Every parameter of the graph as llama.cpp wants it, then the RoPE factors if any.

    Raises:
        UnsupportedConfigError: llama.cpp has no name for a parameter.
        UnsupportedEncodingError: Experts of a layer are to be stored differently.
    """
    names = name_map(family.architecture, config.layers)
    parameters = [
        value.const_value
        for value in model.graph.initializers.values()
        if isinstance(value.const_value, Parameter)
    ]
    stored = [_stored(parameter, names, config, family) for parameter in parameters]
    return (*_stacked(stored), *_rope_factors(config.rope, config.head_dim))


def _stacked(tensors: list[StoredTensor]) -> Iterator[StoredTensor]:
    """The tensors, those of experts that share a name in one, in place of the first of them."""
    experts: dict[str, list[StoredTensor]] = {}
    for tensor in tensors:
        if _EXPERT.search(tensor.weight.name):
            experts.setdefault(tensor.name, []).append(tensor)
    for tensor in tensors:
        if not _EXPERT.search(tensor.weight.name):
            yield tensor
        elif tensor is experts[tensor.name][0]:
            alike = experts[tensor.name]
            _require_one_encoding(alike)
            yield replace(tensor, stacked=tuple((each.weight, each.encoding) for each in alike))


def _require_one_encoding(experts: list[StoredTensor]) -> None:
    first = experts[0]
    for other in experts[1:]:
        if other.encoding.name != first.encoding.name:
            raise UnsupportedEncodingError(
                f"llama.cpp has the experts of a layer in one tensor, {first.name}, of one type",
                expected=f"{first.encoding.name} for {other.weight.name}, too",
                found=other.encoding.name,
                remedy="choose a pattern of names that matches all experts of the layer",
            )


def name_map(architecture: str, layers: int) -> Any:
    """The gguf package's map from names of the checkpoint."""
    import gguf

    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    return gguf.get_tensor_name_map(kinds[architecture], layers)


def stored_name(name: str, names: Any, family: Family) -> str | None:
    """A parameter's name in the GGUF, by the map; None if it has none. Experts share one."""
    own = _EXPERT.sub(".experts.", name.removeprefix(family.prefix))
    found: str | None = names.get_name(own, try_suffixes=_SUFFIXES)
    return found


def _stored(
    parameter: Parameter, names: Any, config: DecoderConfig, family: Family
) -> StoredTensor:
    weight = parameter.weight
    name = stored_name(weight.name, names, family)
    if name is None:
        raise UnsupportedConfigError(
            f"llama.cpp's architecture {family.architecture!r} has no tensor for {weight.name!r}"
        )
    chosen = parameter.encoding or encoding(weight.dtype.value)
    if len(weight.shape) == 1:
        # llama.cpp adds and multiplies vectors in float32 and has kernels for nothing else.
        chosen = encoding("f32")
    order = row_order(family.architecture, weight.name, weight.shape[0], config.head_dim)
    return StoredTensor(name, weight, chosen, order)


def _rope_factors(rope: Rope | None, head_dim: int) -> Iterator[StoredTensor]:
    if rope is not None and rope.kind == "llama3":
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
