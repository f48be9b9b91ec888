"""The experts' matrices one by one, where a checkpoint has those of a layer in one tensor.

Checkpoints on the hub hold a matrix for each expert. Transformers 5 has those of a layer joined in
memory, gate above up, and may write them so (``save_original_format=False``), see
``conversion_mapping.py`` of the package:

    mlp.experts.gate_up_proj  [experts, 2 · ffn, hidden]
    mlp.experts.down_proj     [experts, hidden, ffn]
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from convert.errors import UnsupportedError
from convert.weights import FileWeight, Floats, FloatType, Rows, Weight

JOINED_GATE, JOINED_DOWN = "experts.gate_up_proj", "experts.down_proj"
_JOINED_MODULE = "mlp"
_MOST_EXPERTS = 10_000  # more than any layer has; an empty tensor can claim any number
_JOINED = re.compile(rf"(.+\.{_JOINED_MODULE}\.)({JOINED_GATE}|{JOINED_DOWN}|gate\.weight)")


@dataclass(frozen=True)
class ExpertNames:
    """What a checkpoint of the hub calls the parts of a mixture of experts.

    Args:
        module: That holds router and experts.
        parts: Gate, up and down projections of an expert.
    """

    module: str = "mlp"
    parts: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class JoinedPart(Weight):
    """One matrix or vector of several that lie in one tensor.

    Args:
        name: Name of the matrix.
        joined: The tensor, ``[experts, rows, columns]``, or ``[experts, rows]`` of vectors.
        expert: Which of them.
        start: Its first row.
        stop: The one after its last row.
    """

    name: str
    joined: Weight
    expert: int
    start: int
    stop: int

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        """Rows, and columns if the tensor has some."""
        return (self.stop - self.start, *self.joined.shape[2:])

    @property
    def dtype(self) -> FloatType:  # type: ignore[override]
        """Type of the tensor."""
        return self.joined.dtype

    @property
    def identity(self) -> Hashable:
        """That of the tensor, and the part."""
        return (JoinedPart, self.joined.identity, self.expert, self.start, self.stop)

    def read_rows(self, start: int, stop: int) -> Rows:
        matrix = self.joined.read_rows(self.expert, self.expert + 1)
        rows = matrix.reshape(self.joined.shape[1:])[self.start + start : self.start + stop]
        return np.ascontiguousarray(rows).reshape(stop - start, self.columns)

    def put_back(self, values: Floats, start: int = 0) -> Iterator[tuple[Weight, int, Floats]]:
        raise UnsupportedError(
            f"some rows of {self.joined.name} are not a row of that tensor",
            expected="a checkpoint with a tensor for each expert's matrix",
        )


def expert_by_expert(weights: Mapping[str, Weight], names: ExpertNames) -> dict[str, Weight]:
    """The weights with those of joined experts one by one, as on the hub; none is read.

    Tensors that are not as described above keep their names: they will be refused with all that
    the architecture does not know.
    """
    found: dict[str, Weight] = {}
    for name, weight in weights.items():
        match = _JOINED.fullmatch(name)
        if match is None:
            found[name] = weight
            continue
        scope, kind = match.groups()
        module = scope.removesuffix(f"{_JOINED_MODULE}.") + names.module
        found |= {each.name: each for each in _parts(weight, kind, module, names)}
    return found


def joined_place(name: str, names: ExpertNames) -> tuple[str, int, int] | None:
    """Where transformers 5 has a matrix of an expert.

    Returns:
        Name of the joined tensor; number of the expert; 0 for its first half of rows, 1 for its
        second, or -1 for all of them. None for a name that is not an expert's.
    """
    pattern = rf"(.+)\.{re.escape(names.module)}\.experts\.(\d+)\.(\w+)\.weight"
    match = re.fullmatch(pattern, name)
    if match is None or match.group(3) not in names.parts:
        return None
    place = names.parts.index(match.group(3))
    joined = JOINED_DOWN if place == 2 else JOINED_GATE
    half = -1 if place == 2 else place
    return f"{match.group(1)}.{_JOINED_MODULE}.{joined}", int(match.group(2)), half


def router_place(name: str, names: ExpertNames) -> str:
    """Name that transformers 5 has for a router, by that on the hub; other names stay."""
    suffix = f".{names.module}.gate.weight"
    if not name.endswith(suffix):
        return name
    return f"{name.removesuffix(suffix)}.{_JOINED_MODULE}.gate.weight"


def _parts(weight: Weight, kind: str, module: str, names: ExpertNames) -> Iterator[Weight]:
    if kind == "gate.weight":
        yield _named(weight, f"{module}.{kind}")
        return
    halves = names.parts[:2] if kind == JOINED_GATE else names.parts[2:]
    if len(weight.shape) != 3 or weight.shape[1] % len(halves) or weight.shape[0] > _MOST_EXPERTS:
        yield weight
        return
    rows = weight.shape[1] // len(halves)
    for expert in range(weight.shape[0]):
        for place, part in enumerate(halves):
            name = f"{module}.experts.{expert}.{part}.weight"
            yield _part(weight, name, expert, place * rows, (place + 1) * rows)


def part_of(weight: Weight, name: str, expert: int) -> Weight:
    """What one expert has of a tensor ``[experts, ...]``; in a file, it is found without the rest.

    Args:
        weight: The tensor, of two axes or three.
        name: Of the part.
        expert: Number of the expert.
    """
    return _part(weight, name, expert, 0, weight.shape[1])


def _part(weight: Weight, name: str, expert: int, start: int, stop: int) -> Weight:
    if not isinstance(weight, FileWeight):
        return JoinedPart(name, weight, expert, start, stop)
    rows, columns = weight.shape[1], math.prod(weight.shape[2:])
    offset = weight.offset + (expert * rows + start) * columns * weight.dtype.itemsize
    shape = (stop - start, *weight.shape[2:])
    return replace(weight, name=name, shape=shape, offset=offset)


def _named(weight: Weight, name: str) -> Weight:
    # What a checkpoint holds is a dataclass, whichever kind of file it is in.
    return weight if weight.name == name else replace(weight, name=name)  # type: ignore[type-var]
