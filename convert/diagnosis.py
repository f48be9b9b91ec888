"""Where an artifact departs from its source: the stored weights against the checkpoint's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.weights import Weight, read_float32
from targets.base import Target


@dataclass(frozen=True)
class TensorError:
    """Relative error of one tensor: RMS of the difference over RMS of the original."""

    name: str
    relative_rms: float


def largest_errors(
    target: Target, artifact: Path, weights: Mapping[str, Weight], count: int = 5
) -> tuple[TensorError, ...]:
    """The tensors of ``artifact`` that differ most from the checkpoint, worst first."""
    errors = []
    for name, stored in target.stored_weights(artifact):
        original = read_float32(weights[name])
        difference = float(np.sqrt(np.mean(np.square(stored - original, dtype=np.float64))))
        scale = float(np.sqrt(np.mean(np.square(original, dtype=np.float64)))) or 1.0
        errors.append(TensorError(name, difference / scale))
    return tuple(sorted(errors, key=lambda error: -error.relative_rms)[:count])
