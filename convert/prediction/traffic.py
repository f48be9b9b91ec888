"""What one device reads and multiplies for a step of a model, from shapes and encodings alone."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.graph import Role, parameters, roles
from passes.encodings import GGML_TYPES, encoding
from passes.encodings.base import Encoding
from passes.encodings.fp8 import Fp8
from targets.deployment import Workload

_CONVOLUTION_AXES = 4
_CONVOLUTION = re.compile(r"\.conv\d*\.")
"""A convolution that was rewritten as a matrix has its name still."""
_HELD_SCALE_BYTES = 4
"""Scales of scales are multiplied out when a model is loaded; see docs/xeon.md."""


@dataclass(frozen=True)
class Weights:
    """Weights of one kind on the fullest device.

    Args:
        nbytes: As the runtime holds them.
        elements: That a token is multiplied with.
        arithmetic: What most of them are multiplied as.
    """

    nbytes: float = 0
    elements: float = 0
    arithmetic: str = "bf16"


@dataclass(frozen=True)
class Traffic:
    """A model on one device.

    Args:
        linear: Layers that every token visits.
        experts: Layers of which a token visits a share; all of them are counted.
        convolutions: Over the sequence.
        head: The output head, whether or not it is the embedding.
        embedding: Bytes of the embedding, of which a step reads rows.
        vectors: Bytes of norms, biases and routers, which every step reads.
    """

    linear: Weights
    experts: Weights
    convolutions: Weights
    head: Weights
    embedding: float
    vectors: float
    tied: bool

    @property
    def held(self) -> int:
        """Bytes of all weights on the device."""
        shared = (self.linear, self.experts, self.convolutions)
        total = sum(one.nbytes for one in shared) + self.embedding + self.vectors
        return math.ceil(total + (0 if self.tied else self.head.nbytes))


def traffic(config: DecoderConfig, model: ir.Model, work: Workload) -> Traffic:
    """Count a graph whose parameters have their encodings; no weight is read.

    Args:
        work: How many devices share it, and how.
    """
    sums: dict[str, Weights] = {}
    role_of = roles(model)
    counted: dict[str, dict[str, int]] = {}
    for name, parameter in parameters(model).items():
        weight = parameter.weight
        stored = parameter.encoding or encoding(weight.dtype.value)
        kind = _kind(name, role_of[name], weight.shape)
        elements = weight.rows * weight.columns
        sums[kind] = _added(
            sums.get(kind), held_bytes(stored, weight.rows, weight.columns), elements
        )
        by_arithmetic = counted.setdefault(kind, {})
        spoken = arithmetic(stored)
        by_arithmetic[spoken] = by_arithmetic.get(spoken, 0) + elements
    for kind, found in counted.items():
        sums[kind] = replace(sums[kind], arithmetic=max(found, key=lambda one: found[one]))
    return _on_a_device(config, sums, work)


def _on_a_device(config: DecoderConfig, sums: dict[str, Weights], work: Workload) -> Traffic:
    none, count = Weights(), work.devices
    linear, embedding = sums.get("linear", none), sums.get("embedding", none)
    tied = "head" not in sums
    head = embedding if tied else sums["head"]
    shared = _cut(linear, count, _copied_keys(config, count))
    # A tied head is cut by the vocabulary; where the embedding is whole on each device, what the
    # device multiplies with is a copy of a part of it.
    copies = tied and count > 1 and work.whole_embedding
    rows = embedding.nbytes / (1 if work.whole_embedding else count)
    return Traffic(
        linear=shared,
        experts=_cut(sums.get("expert", none), count),
        convolutions=_cut(sums.get("convolution", none), count),
        head=_cut(head, count),
        embedding=rows,
        vectors=sums.get("vector", none).nbytes,
        tied=tied and not copies,
    )


def held_bytes(stored: Encoding, rows: int, columns: int) -> int:
    """Bytes of a matrix in the memory of its runtime.

    They are those of the file, but where scales are themselves encoded: these are held as float32.
    """
    planes = stored.planes(columns)
    nested = any(plane.name == "super_scales" for plane in planes)
    total = 0
    for plane in planes:
        if not nested or plane.name not in ("scales", "super_scales"):
            total += plane.nbytes(rows)
        elif plane.name == "scales":
            total += rows * math.prod(plane.row_shape) * _HELD_SCALE_BYTES
    return total


def arithmetic(stored: Encoding) -> str:
    """What weights of an encoding are multiplied as by the runtimes that hold them compressed.

    ggml rounds what meets its blocks to 8 bits; so do layers whose inputs are stored in 8 bits.
    Other integers become floats again before they are multiplied.
    """
    if isinstance(stored, Fp8):
        return "fp8"
    if stored.name in GGML_TYPES or stored.input_bits == 8:
        return "int8"
    return "f32" if stored.name == "f32" else "bf16"


def _kind(name: str, role: Role, shape: tuple[int, ...]) -> str:
    if role in (Role.EMBEDDING, Role.HEAD):
        return str(role.value)
    if role in (Role.OTHER, Role.ROUTER):
        return "convolution" if len(shape) == _CONVOLUTION_AXES else "vector"
    if len(shape) == _CONVOLUTION_AXES or _CONVOLUTION.search(name):
        return "convolution"
    return "expert" if ".experts." in name else "linear"


def _added(known: Weights | None, nbytes: int, elements: int) -> Weights:
    known = known or Weights()
    return replace(known, nbytes=known.nbytes + nbytes, elements=known.elements + elements)


def _cut(whole: Weights, count: int, copied: float = 0) -> Weights:
    """The part of one of ``count`` devices; ``copied`` of the elements are on each besides."""
    share = 1 / count
    if whole.elements and copied:
        share += copied / whole.elements
    return replace(whole, nbytes=whole.nbytes * share, elements=whole.elements * share)


def _copied_keys(config: DecoderConfig, count: int) -> float:
    """Elements of key and value projections that a device has beyond an even share: whole heads,
    which several devices hold where there are fewer of them than devices.
    """
    heads = math.ceil(config.kv_heads / count) - config.kv_heads / count
    return 2 * config.layers * config.hidden * config.head_dim * heads
