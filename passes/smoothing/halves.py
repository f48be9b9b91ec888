"""What is held of the layers of a group, and of what they read, until all of them have passed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph import parameters
from convert.weights import Floats
from passes.calibration.observers import Observer
from passes.calibration.snapshots import Arrays, below, joined, within
from passes.calibration.steps import plan
from passes.smoothing.fitting import SAMPLE_TOKENS, Half
from passes.smoothing.groups import Group, groups

SAMPLE_ROWS = 256
"""Rows of the weights of one layer to measure errors on."""


@dataclass
class Seen:
    """What is held of a group until all its weights have passed.

    Args:
        reader: The weight whose inputs are looked at, as all of the group have the same.
        left: Rows of weights that are to come.
    """

    reader: str
    halves: tuple[Half, Half]
    largest: Floats
    sample: list[Floats]
    left: int


class Halved(Observer):
    """Halves of the inputs of each group of layers, and some rows of the group's weights."""

    def __init__(self, model: ir.Model) -> None:
        self._rows = {name: held.weight.rows for name, held in parameters(model).items()}
        self._group_of = {name: group for group in groups(model) for name in group.weights}
        for weight in plan(model, logits=False).weights:
            self._group_of.setdefault(weight.name, Group((weight.name,)))
        self.groups = tuple({group.name: group for group in self._group_of.values()}.values())
        self._numbers = {group.name: number for number, group in enumerate(self.groups)}
        self.seen: dict[str, Seen] = {}

    def group_of(self, weight: str) -> Group:
        """The layers that read the same as this one."""
        return self._group_of[weight]

    def linear(self, weight: str, inputs: Floats) -> None:
        group = self.group_of(weight)
        seen = self.seen.get(group.name)
        if seen is not None and seen.reader != weight:
            return  # it reads what another one of the group has read
        middle = (len(inputs) + 1) // 2
        self._follow(group, weight, (Half.of(inputs[:middle]), Half.of(inputs[-middle:])))

    def weight(self, name: str, start: int, rows: Floats) -> None:
        group = self.group_of(name)
        seen = self.seen[group.name]
        flat = rows.reshape(len(rows), -1)
        if flat.shape[1] == seen.halves[0].low.size:  # a convolution has several taps a channel
            seen.largest = np.maximum(seen.largest, np.maximum(flat.max(0), -flat.min(0)))
            step = -(-self._rows[name] // SAMPLE_ROWS)
            seen.sample.append(flat[-start % step :: step].copy())
        seen.left -= len(rows)
        if not seen.left:
            self.passed(group)

    def to_arrays(self) -> Arrays:
        return joined(
            *(below(str(self._numbers[name]), _as_arrays(seen)) for name, seen in self.seen.items())
        )

    def merge(self, arrays: Arrays) -> None:
        for group in self.groups:
            self.merge_group(group, arrays)

    def merge_group(self, group: Group, arrays: Arrays) -> None:
        """As `merge`, of one group."""
        own = within(str(self._numbers[group.name]), arrays)
        if not own:
            return
        self._follow(group, group.name, (_half(own, "first"), _half(own, "second")))
        weights = within("weights", own)
        if weights:
            seen = self.seen[group.name]
            seen.largest = np.maximum(seen.largest, weights["largest"])
            seen.sample.append(weights["sample"])

    def _follow(self, group: Group, reader: str, halves: tuple[Half, Half]) -> None:
        """Take in halves of a batch."""
        seen = self.seen.get(group.name)
        if seen is None:
            left = sum(self._rows[name] for name in group.weights)
            self.seen[group.name] = Seen(reader, halves, np.float32(0), [], left)
        else:
            first, second = (
                old.and_then(new) for old, new in zip(seen.halves, halves, strict=True)
            )
            seen.halves = first, second

    def passed(self, group: Group) -> None:
        """Called when all weights of a group have been seen."""


def halved(model: ir.Model) -> tuple[Halved]:
    """What watches a batch for `measured_apart`."""
    return (Halved(model),)


def halved_bytes(model: ir.Model) -> int:
    """What `Halved` comes to hold of a batch, at most."""
    weights = plan(model, logits=False).weights
    return sum(4 * each.columns * 2 * (SAMPLE_TOKENS + 2 + SAMPLE_ROWS) for each in weights)


def _as_arrays(seen: Seen) -> Arrays:
    parts = [
        below(name, {"low": half.low, "high": half.high, "sample": half.sample})
        for name, half in zip(("first", "second"), seen.halves, strict=True)
    ]
    if seen.sample:
        parts.append(
            below("weights", {"sample": np.concatenate(seen.sample), "largest": seen.largest})
        )
    return joined(*parts)


def _half(arrays: Arrays, name: str) -> Half:
    own = within(name, arrays)
    return Half(own["low"], own["high"], own["sample"])
