"""How far an artifact's stored weights are from the original's, tensor by tensor.

The logits of a coarse encoding move so far that one matrix with wrong scales can hide among them;
its own error cannot.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.errors import TensorMismatchError
from convert.weights import Weight, read_float32
from targets.base import Target


@dataclass(frozen=True)
class WeightError:
    """Relative error of one tensor: RMS of the difference over RMS of the original."""

    name: str
    relative_rms: float


def weight_errors(
    target: Target, artifact: Path, weights: Mapping[str, Weight]
) -> tuple[WeightError, ...]:
    """The error of every tensor that ``artifact`` stores, worst first; NaN is the worst.

    Holds one tensor in memory at a time. Reads by `Target.stored_weights`, which is not our
    encoder's own decoder.

    Args:
        target: That the artifact was made for.
        artifact: Its folder.
        weights: The graph's, by name: the checkpoint's, rearranged where the graph wants it.

    Raises:
        TensorMismatchError: A stored tensor has another shape than the graph's.
    """
    errors = []
    for name, stored in target.stored_weights(artifact):
        original = read_float32(weights[name])
        if stored.shape != original.shape:
            raise TensorMismatchError(
                f"the artifact stores {name} in another shape",
                expected=str(list(original.shape)),
                found=str(list(stored.shape)),
            )
        difference = _rms(stored.astype(np.float32, copy=False) - original)
        errors.append(WeightError(name, difference / (_rms(original) or 1.0)))
    return tuple(sorted(errors, key=_severity))


def _severity(error: WeightError) -> tuple[bool, float]:
    return not math.isnan(error.relative_rms), -error.relative_rms


def _rms(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    return math.sqrt(float(np.mean(np.square(values, dtype=np.float64))))
