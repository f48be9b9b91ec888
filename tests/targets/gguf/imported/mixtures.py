"""A layer of three small experts, as facts of a graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from targets.gguf.imported.activations import Activation, Rows
from targets.gguf.imported.facts import Facts, Mixture
from targets.gguf.imported.linears import Linear
from targets.gguf.imported.routings import Routing

ROUTING = Routing(count=3, used=2, gate="softmax", normalized=True, scale=1.0)
PARTS = {
    f"model.layers.0.mlp.experts.{n}.{part}_proj.weight": (rows, columns)
    for part, rows, columns in (("gate_up", 8, 6), ("down", 6, 4))
    for n in range(3)
}
NAMES = tuple(PARTS)


def linear(rows: int, names: tuple[str, ...]) -> Linear:
    return Linear(names[0], None, ir.Value(name="x"), ir.Value(name="y"), rows, names)


UP, DOWN = linear(8, NAMES[:3]), linear(6, NAMES[3:])
MIXTURE = Mixture(linear(3, ("model.layers.0.mlp.gate.weight",)), ROUTING, (UP,), DOWN)


def with_experts(facts: Facts, act: Activation | None = None, **changes: Any) -> Facts:
    """Facts with these experts in the first layer; changes are of their routing."""
    mixture = replace(MIXTURE, routing=replace(ROUTING, **changes))
    chosen = act or Activation("silu", UP, Rows(0), Rows(4))
    return replace(facts, mixtures={DOWN.name: mixture}, activations={DOWN.name: chosen})


def matrices() -> dict[str, Parameter]:
    """Random ones for all experts, by name."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in PARTS.items()}
    return {name: Parameter(ArrayWeight(name, array)) for name, array in arrays.items()}
