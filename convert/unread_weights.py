"""Weights of which only the shape is known: what a config alone says of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.weights import FloatType, Rows, Weight

if TYPE_CHECKING:
    from convert.architectures.base import Shape

_FLOAT_TYPES = {
    "float32": FloatType.F32,
    "float16": FloatType.F16,
    "bfloat16": FloatType.BF16,
}


@dataclass(frozen=True)
class UnreadWeight(Weight):
    """A weight that can be measured but not read.

    Args:
        name: As in the checkpoint.
        shape: At least one axis.
        dtype: Storage type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: FloatType

    def read_rows(self, start: int, stop: int) -> Rows:
        """Refuse.

        Raises:
            AssertionError: Always: whoever reads it promised to need its shape alone.
        """
        raise AssertionError(f"{self.name} was read, but only its shape is known")


def unread_weights(
    shapes: Mapping[str, Shape], raw_config: Mapping[str, Any]
) -> dict[str, UnreadWeight]:
    """One weight for each shape, of the type that the config states.

    Args:
        shapes: By name, as ``Architecture.parameters`` gives them.
        raw_config: config.json as it is; one that states no type is taken for bfloat16.
    """
    stated = raw_config.get("dtype") or raw_config.get("torch_dtype")
    dtype = _FLOAT_TYPES.get(str(stated).removeprefix("torch."), FloatType.BF16)
    return {name: UnreadWeight(name, tuple(shape), dtype) for name, shape in shapes.items()}
