"""What storing each weight in each of several encodings costs, measured at the logits.

For some encodings of a weight the cost is measured: a short text goes on from that layer with the
weight as the encoding has it, and its logits are held against those of the float model. For the
others it is derived: a small error costs as much as its square, so the cost is that of a measured
encoding times the ratio of the squared errors of the layer's own outputs, which are measured for
every encoding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import Role, roles
from convert.weights import Floats
from passes.calibration.branches import (
    Variation,
    decoded,
    run_branched,
    second_moments,
    weighted,
)
from passes.calibration.execution import Advance
from passes.calibration.held import Text
from passes.calibration.observers import Observer
from passes.encodings.base import Encoding

Encodings = Mapping[str, Encoding]
"""By name of a weight."""


@dataclass(frozen=True)
class Texts:
    """What is read.

    Args:
        weighting: Texts whose second moments weight the encodings.
        reading: Texts on which the cost is measured, others than those.
    """

    weighting: tuple[Text, ...]
    reading: tuple[Text, ...]

    @property
    def all(self) -> tuple[Text, ...]:
        """First those for weighting."""
        return (*self.weighting, *self.reading)

    @property
    def read(self) -> tuple[int, ...]:
        """The numbers among all of those that are read."""
        return tuple(range(len(self.weighting), len(self.all)))

    @property
    def tokens(self) -> int:
        """Of the texts on which the cost is measured."""
        return sum(map(len, self.reading))


@dataclass(frozen=True)
class Asked:
    """A weight and how it may be stored.

    Args:
        candidates: All encodings that are of interest.
        measured: Names of those whose cost is measured at the logits; at least one.
    """

    name: str
    candidates: tuple[Encoding, ...]
    measured: tuple[str, ...]


@dataclass(frozen=True)
class Sensitivity:
    """What the encodings of one weight cost.

    Args:
        errors: Squared error of the layer's outputs over their square, by encoding.
        measured: Mean KL divergence at the logits, in nats, by encoding.
    """

    errors: Mapping[str, float]
    measured: Mapping[str, float]

    def kld(self, encoding: str) -> float:
        """Mean KL divergence, in nats: as measured, or derived from the measured encoding whose
        error is nearest.
        """
        if encoding in self.measured:
            return self.measured[encoding]
        error = self.errors[encoding]
        known = [name for name in self.measured if self.errors[name] > 0]
        if error == 0 or not known:
            return 0.0
        nearest = min(known, key=lambda name: abs(math.log(self.errors[name] / error)))
        return self.measured[nearest] * error / self.errors[nearest]


def measure(
    model: ir.Model,
    texts: Texts,
    asked: Sequence[Asked],
    advance: Advance = lambda count: None,
) -> dict[str, Sensitivity]:
    """The sensitivity of some weights, in one run over the model.

    Args:
        model: The float graph of an architecture, without a cache.
        asked: Linear layers, the head, embeddings. The encodings of embeddings must all be
            measured, as they have no outputs.
        advance: Told the bytes of weights that were just done with.

    Raises:
        TricastError: As `run_branched` does.
    """
    pairs = [(one.name, each) for one in asked for each in one.candidates]
    variations = [
        (name, encoding)
        for one in asked
        for name, encoding in ((one.name, each) for each in one.candidates)
        if encoding.name in one.measured
    ]
    errors = OutputErrors(model, texts, asked)
    found = run_branched(
        model,
        texts.all,
        [Variation({name: encoding}, texts.read) for name, encoding in variations],
        weighting=range(len(texts.weighting)),
        observers=[errors],
        advance=advance,
    )
    measured: dict[str, dict[str, float]] = {one.name: {} for one in asked}
    for (name, encoding), divergence in zip(variations, found, strict=True):
        measured[name][encoding.name] = float(divergence.mean())
    held: dict[str, dict[str, float]] = {one.name: {} for one in asked}
    for name, encoding in pairs:
        held[name][encoding.name] = errors.relative(name, encoding.name)
    return {one.name: Sensitivity(held[one.name], measured[one.name]) for one in asked}


def joint_kld(
    model: ir.Model,
    texts: Texts,
    assignments: Sequence[Encodings],
    advance: Advance = lambda count: None,
) -> list[float]:
    """Mean KL divergence, in nats, of models with all weights stored as each assignment says.

    Raises:
        TricastError: As `run_branched` does.
    """
    variations = [Variation(assignment, texts.read) for assignment in assignments]
    weighting = range(len(texts.weighting))
    found = run_branched(model, texts.all, variations, weighting=weighting, advance=advance)
    return [float(divergence.mean()) for divergence in found]


def in_groups(asked: Sequence[Asked], most: int) -> Iterator[list[Asked]]:
    """Consecutive weights with at most so many measured encodings, or one weight."""
    group: list[Asked] = []
    for one in asked:
        if group and sum(len(each.measured) for each in (*group, one)) > most:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


class OutputErrors(Observer):
    """Squared errors of the outputs of linear layers, by weight and encoding.

    Args:
        model: The float graph.
        texts: What the graph is run over.
        asked: The weights and encodings.
    """

    def __init__(self, model: ir.Model, texts: Texts, asked: Sequence[Asked]) -> None:
        self._roles = roles(model)
        self._weighting = sum(map(len, texts.weighting))
        self._asked = {one.name: one.candidates for one in asked}
        self._inputs: Floats = np.empty((0, 0), np.float32)
        self._bound: list[tuple[str, Encoding]] = []
        self._errors: dict[tuple[str, str], float] = {}
        self._outputs: dict[str, float] = {}

    def relative(self, weight: str, encoding: str) -> float:
        """Squared error of a layer's outputs over their square; 0 of a weight that is in none."""
        outputs = self._outputs.get(weight, 0.0)
        return self._errors.get((weight, encoding), 0.0) / outputs if outputs else 0.0

    def linear(self, weight: str, inputs: Floats) -> None:
        self._inputs = inputs[self._weighting :].copy()
        moments = second_moments([inputs[: self._weighting]])
        role = self._roles.get(weight, Role.OTHER)
        self._bound = [
            (candidate.name, weighted(candidate, role, moments))
            for candidate in self._asked.get(weight, ())
        ]

    def weight(self, name: str, start: int, rows: Floats) -> None:
        if not self._bound:
            return
        self._outputs[name] = self._outputs.get(name, 0.0) + _square(self._inputs @ rows.T)
        for encoding, bound in self._bound:
            error = decoded(bound, rows)
            np.subtract(rows, error, out=error)
            key = name, encoding
            self._errors[key] = self._errors.get(key, 0.0) + _square(self._inputs @ error.T)


def _square(values: Floats) -> float:
    return float(np.einsum("tf,tf->", values, values, dtype=np.float64))
