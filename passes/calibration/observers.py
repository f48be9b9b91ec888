"""What may be watched while a graph runs, and the observers that issue from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.weights import Floats
from passes.calibration.snapshots import Arrays, below, within

Key = TypeVar("Key")


class InputRange(NamedTuple):
    """The least and the largest of the inputs of a layer."""

    low: float
    high: float


class Observer:
    """Sees what flows through a graph; each method may be left as it is.

    What is handed over must not be changed, and not be kept without copying it.
    """

    def linear(self, weight: str, inputs: Floats) -> None:
        """The inputs ``[tokens, features]`` of a linear layer or a convolution, before they are
        multiplied with its weight; all texts together, so once for each layer.
        """

    def weight(self, name: str, start: int, rows: Floats) -> None:
        """Rows from ``start`` on of the weight of a linear layer or a convolution, in order,
        after `linear` has seen its inputs.
        """

    def attention(self, layer: int, queries: Floats, keys: Floats, values: Floats) -> None:
        """What an attention reads, ``[heads, tokens, head_dim]`` each, after rotation, before
        scaling; once for each text.
        """

    def to_arrays(self) -> Arrays:
        """What was seen so far, for `from_arrays`; needed where a run is to be gone on with."""
        raise NotImplementedError(f"{type(self).__name__} cannot be kept in a snapshot")

    def from_arrays(self, arrays: Arrays) -> None:
        """Have seen what another observer of this kind had seen."""
        raise NotImplementedError(f"{type(self).__name__} cannot be kept in a snapshot")

    def merge(self, arrays: Arrays) -> None:
        """Have seen, too, what another observer of this kind has seen of the next texts; needed
        where batches of texts are run apart. To the last bit what one observer of all would have.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot see batches apart")


def largest_magnitude(values: Floats) -> float:
    """The largest absolute value; NaN if there is one; 0 of nothing."""
    return float(max(values.max(), -values.min())) if values.size else 0.0


class LargestInputs(Observer):
    """The largest magnitude of each linear layer's input, by the name of the weight."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def linear(self, weight: str, inputs: Floats) -> None:
        self.largest[weight] = _larger(self.largest.get(weight), largest_magnitude(inputs))

    def to_arrays(self) -> Arrays:
        return _as_arrays(self.largest)

    def from_arrays(self, arrays: Arrays) -> None:
        self.largest = {name: float(seen) for name, seen in arrays.items()}

    def merge(self, arrays: Arrays) -> None:
        _merge_largest(self.largest, {name: float(seen) for name, seen in arrays.items()})


class LargestWeights(Observer):
    """The largest magnitude of each linear layer's weight, by its name."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def weight(self, name: str, start: int, rows: Floats) -> None:
        self.largest[name] = _larger(self.largest.get(name), largest_magnitude(rows))

    def to_arrays(self) -> Arrays:
        return _as_arrays(self.largest)

    def from_arrays(self, arrays: Arrays) -> None:
        self.largest = {name: float(seen) for name, seen in arrays.items()}

    def merge(self, arrays: Arrays) -> None:
        _merge_largest(self.largest, {name: float(seen) for name, seen in arrays.items()})


class LargestHeads(Observer):
    """The largest magnitudes of queries, keys and values, by layer."""

    def __init__(self) -> None:
        self.queries: dict[int, float] = {}
        self.keys: dict[int, float] = {}
        self.values: dict[int, float] = {}

    def attention(self, layer: int, queries: Floats, keys: Floats, values: Floats) -> None:
        for held, seen in ((self.queries, queries), (self.keys, keys), (self.values, values)):
            held[layer] = _larger(held.get(layer), largest_magnitude(seen))

    def to_arrays(self) -> Arrays:
        return {
            **below("queries", _as_arrays(self.queries)),
            **below("keys", _as_arrays(self.keys)),
            **below("values", _as_arrays(self.values)),
        }

    def from_arrays(self, arrays: Arrays) -> None:
        self.queries, self.keys, self.values = (
            {int(layer): float(seen) for layer, seen in within(kind, arrays).items()}
            for kind in ("queries", "keys", "values")
        )

    def merge(self, arrays: Arrays) -> None:
        other = LargestHeads()
        other.from_arrays(arrays)
        _merge_largest(self.queries, other.queries)
        _merge_largest(self.keys, other.keys)
        _merge_largest(self.values, other.values)


class LargestChannels(Observer):
    """The largest magnitude of each input channel, float32 ``[features]`` by weight."""

    def __init__(self) -> None:
        self.largest: dict[str, Floats] = {}

    def linear(self, weight: str, inputs: Floats) -> None:
        if not len(inputs):
            inputs = np.zeros((1, inputs.shape[1]), np.float32)  # an expert that nobody visits
        seen = np.maximum(inputs.max(axis=0), -inputs.min(axis=0))
        held = self.largest.get(weight)
        self.largest[weight] = seen if held is None else np.maximum(held, seen)

    def to_arrays(self) -> Arrays:
        return dict(self.largest)

    def from_arrays(self, arrays: Arrays) -> None:
        self.largest = dict(arrays)

    def merge(self, arrays: Arrays) -> None:
        for name, seen in arrays.items():
            held = self.largest.get(name)
            self.largest[name] = seen if held is None else np.maximum(held, seen)


class SecondMoments(Observer):
    """Sums of squares of each input channel, float64 ``[features]`` by weight, and how many
    tokens they are of.
    """

    def __init__(self) -> None:
        self.sums: dict[str, NDArray[np.float64]] = {}
        self.tokens: dict[str, int] = {}

    def linear(self, weight: str, inputs: Floats) -> None:
        seen = np.einsum("tf,tf->f", inputs, inputs, dtype=np.float64)
        self.sums[weight] = self.sums.get(weight, np.float64(0)) + seen
        self.tokens[weight] = self.tokens.get(weight, 0) + len(inputs)

    def to_arrays(self) -> Arrays:
        counts = {name: np.array(count, np.int64) for name, count in self.tokens.items()}
        return {**below("sums", self.sums), **below("tokens", counts)}

    def from_arrays(self, arrays: Arrays) -> None:
        self.sums = dict(within("sums", arrays))
        self.tokens = {name: int(count) for name, count in within("tokens", arrays).items()}

    def merge(self, arrays: Arrays) -> None:
        for name, seen in within("sums", arrays).items():
            self.sums[name] = self.sums.get(name, np.float64(0)) + seen
        for name, count in within("tokens", arrays).items():
            self.tokens[name] = self.tokens.get(name, 0) + int(count)


def _larger(held: float | None, seen: float) -> float:
    """NaN, once seen, stays."""
    return seen if held is None else float(np.maximum(held, seen))


def _merge_largest(held: dict[Key, float], others: Mapping[Key, float]) -> None:
    for key, seen in others.items():
        held[key] = _larger(held.get(key), seen)


def _as_arrays(seen: Mapping[str, float] | Mapping[int, float]) -> Arrays:
    return {str(key): np.array(value, np.float64) for key, value in seen.items()}
