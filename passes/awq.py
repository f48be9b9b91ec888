"""Y = X Wᵀ = (X / s) (s · W)ᵀ: the columns that count most are stored larger, so more exactly.

AWQ (arXiv 2306.00978).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import onnx_ir as ir

from convert.graph import Role, roles
from passes.encodings.weighting import WeightableEncoding
from passes.quantize import Policy, Quantize
from passes.smoothing.division import InputDivision


class Awq(InputDivision):
    """Divide the inputs of layers whose weights are stored in 6 bits or less."""

    name: ClassVar[str] = "awq"
    left: ClassVar[str] = "balanced"

    def layers(self, model: ir.Model) -> set[str]:
        return set(coarse_layers(model, self.policy))


def coarse_layers(model: ir.Model, policy: Policy) -> Mapping[str, WeightableEncoding]:
    """The linear layers of a float graph that will be stored in 6 bits or less, and how."""
    role_of = roles(model)
    return {
        name: chosen
        for name, chosen in Quantize(policy).encodings(model).items()
        if role_of[name] in (Role.LINEAR, Role.HEAD)
        and isinstance(chosen, WeightableEncoding)
        and chosen.is_weightable
    }
