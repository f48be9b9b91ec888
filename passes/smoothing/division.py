"""Y = X Wᵀ = (X / s) (s · W)ᵀ for any s: inputs of linear layers divided by channel.

The division by s is done by what computes X: a norm's vectors, the rows of the layer that
attention's values come from, or those of the branch of a gated MLP that has no activation. So the
graph stays as it is, and the logits are the same to float32 rounding.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from hashlib import sha256
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from convert.errors import PassRefusedError
from convert.graph import parameters
from convert.parameter import Parameter
from convert.scaled_weights import ScaledWeight
from convert.weights import Floats
from passes.base import Pass
from passes.quantize import Policy
from passes.smoothing.groups import Fold, Group, groups

DIGEST, DIVIDED = "divided_inputs.divisors", "divided_inputs.layers"
"""Keys of the model's metadata: the hash of all divisors; as JSON, by name of its weight, the group
of each layer whose input is divided."""


class InputDivision(Pass):
    """Divide the inputs of linear layers by channel, and multiply their columns.

    All layers that read a value must want it divided; else it stays as it is, and a note says
    so, as where nothing before them can be divided.

    Args:
        divisors: By name of a group of layers that read one value, see `passes.smoothing.groups`:
            positive, one for each channel or for those that share one.
        policy: How layers will be stored.
    """

    exact: ClassVar[bool] = True
    left: ClassVar[str]
    """What a note says of layers whose inputs stay as they are."""

    def __init__(self, divisors: Mapping[str, Floats], policy: Policy) -> None:
        self.divisors = divisors
        self.policy = policy

    @abstractmethod
    def layers(self, model: ir.Model) -> set[str]:
        """Names of the weights of layers whose inputs are to be divided."""

    def requires(self, model: ir.Model) -> None:
        graph = str(model.graph.name)
        if DIGEST in model.metadata_props:
            raise PassRefusedError("the inputs of its layers are divided already", graph)
        for name, parameter in parameters(model).items():
            if parameter.encoding is not None:
                raise PassRefusedError("inputs are divided before weights are quantized", name)
        for group, fold in self._divided(model):
            given = self.divisors.get(group.name)
            if given is None:
                raise PassRefusedError("there are no divisors for its inputs", group.name)
            if given.shape != (fold.divisors,) or not (np.isfinite(given) & (given > 0)).all():
                raise PassRefusedError(
                    f"divisors must be {fold.divisors} finite numbers above 0", group.name
                )

    def rewrite(self, model: ir.Model) -> bool:
        digest, groups_of = sha256(), dict[str, str]()
        for group, fold in self._divided(model):
            groups_of |= dict.fromkeys(group.weights, group.name)
            divisors = np.asarray(self.divisors[group.name], np.float32)
            digest.update(f"{group.name} {divisors.size}\n".encode() + divisors.tobytes())
            for name in group.weights:
                _scale(model, name, columns=divisors[fold.channels])
            for name in fold.parameters:
                rows = np.ones(parameters(model)[name].weight.rows, np.float32)
                rows[fold.rows] = divisors
                _scale(model, name, rows=rows)
        model.metadata_props[DIGEST] = digest.hexdigest()
        model.metadata_props[DIVIDED] = json.dumps(groups_of)
        note = self._note(model)
        if note:
            model.metadata_props[f"note.{self.name}"] = note
        return True

    def ensures(self, model: ir.Model) -> None:
        held = parameters(model)
        for group, fold in self._divided(model):
            for name in (*group.weights, *fold.parameters):
                if not isinstance(held[name].weight, ScaledWeight):
                    raise AssertionError(f"{name} is not scaled")

    def _divided(self, model: ir.Model) -> Iterator[tuple[Group, Fold]]:
        """The groups of layers whose inputs are divided."""
        yield from divisible(model, self.layers(model))

    def _note(self, model: ir.Model) -> str:
        """Which of the layers keep their inputs as they are, and why."""
        layers, left = self.layers(model), defaultdict[str, list[str]](list)
        for group in groups(model):
            asked = [name for name in group.weights if name in layers]
            others = [name for name in group.weights if name not in layers]
            if asked and (group.fold is None or others):
                obstacle = group.obstacle or "a layer of other precision reads the same input"
                left[obstacle] += asked
        return "; ".join(
            f"the inputs of {len(names)} layers are not {self.left} ({names[0]} ...): {obstacle}"
            for obstacle, names in left.items()
        )


def divisible(model: ir.Model, layers: Collection[str]) -> Iterator[tuple[Group, Fold]]:
    """Those groups all of whose layers are among ``layers``, and whose input can be divided."""
    wanted = set(layers)
    for group in groups(model):
        if group.fold is not None and wanted.issuperset(group.weights):
            yield group, group.fold


def _scale(
    model: ir.Model, name: str, *, columns: Floats | None = None, rows: Floats | None = None
) -> None:
    value = model.graph.initializers[name]
    assert isinstance(value.const_value, Parameter)
    value.const_value = Parameter(ScaledWeight(value.const_value.weight, columns, rows))
