"""The tensors of a checkpoint in safetensors, and what fills those whose bytes are not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from convert.parameter import Parameter
from convert.weights import Weight
from passes.encodings.base import Encoding
from passes.encodings.floats import FloatEncoding
from targets.base import Columns, Placement, WriteJob
from targets.safetensors_layout import StoredTensor

_FLOATS = {"f32": "F32", "f16": "F16", "bf16": "BF16"}


@dataclass(frozen=True)
class FilledTensor:
    """A weight, how it is encoded, and the names of the tensors that its planes fill.

    Args:
        parameter: What is stored.
        encoding: How; known even where the parameter leaves it open.
        planes: A tensor for each plane of the encoding, in its order.
        columns: Of tensors that hold a plane transposed, how; by their names.
    """

    parameter: Parameter
    encoding: Encoding
    planes: tuple[str, ...]
    columns: Mapping[str, Columns] = field(default_factory=dict)

    def job(self, placements: Mapping[str, Placement]) -> WriteJob:
        """What writes it to where its tensors lie."""
        places = tuple(
            replace(placements[name], columns=self.columns.get(name)) for name in self.planes
        )
        return WriteJob(self.parameter.weight, self.encoding, places)


@dataclass(frozen=True)
class CheckpointTensors:
    """The tensors of a checkpoint, in order, and what fills those whose bytes are not known."""

    tensors: tuple[StoredTensor, ...]
    filled: tuple[FilledTensor, ...]

    def jobs(self, placements: Mapping[str, Placement]) -> tuple[WriteJob, ...]:
        """What writes the weights to where their tensors lie."""
        return tuple(filled.job(placements) for filled in self.filled)


def float_tensor(weight: Weight, encoding: FloatEncoding) -> StoredTensor:
    """A weight in plain floats, under its own name."""
    size = weight.rows * weight.columns * encoding.dtype.itemsize
    return StoredTensor(weight.name, _FLOATS[encoding.dtype.value], weight.shape, size)
