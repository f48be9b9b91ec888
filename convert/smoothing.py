"""What 8-bit inputs of an artifact's layers need: divisors that smooth them, and their ranges."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from convert.errors import UsageError
from convert.graph import parameters
from convert.recipe import Artifact
from passes.encodings import encoding
from passes.quantize import Policy
from passes.smooth_quant import SmoothQuant
from passes.smoothing.division import DIVIDED
from targets.base import Target

if TYPE_CHECKING:
    from passes.calibration.observers import InputRange
    from passes.smoothing.measuring import Measured

DEFAULT_ALPHA = 0.5
GRID = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Alphas that a search tries, group by group."""

MOST_ERROR = 0.005
"""Of a layer's outputs, see `passes.smoothing.measuring.Smoothed`, where its inputs are rounded in
a fixed range. What exceeds it reads a few huge channels or tokens, and costs more than all layers
that do not together."""

Alphas = tuple[float, ...]

Measure = Callable[[Alphas], "Measured | None"]
"""Calibrates with these alphas to choose from; gives None where no text is wanted."""


@dataclass(frozen=True)
class Smoothing:
    """What is done about the inputs of layers that take 8 bits.

    Args:
        policy: Which layers keep them, after all.
        measured: What calibration found; None if nothing that it finds is needed.
        rewrite: The pass that smooths them, if they shall be.
    """

    policy: Policy
    measured: Measured | None = None
    rewrite: SmoothQuant | None = None

    def input_ranges(self, model: ir.Model) -> Mapping[str, InputRange]:
        """In which range each layer of a quantized graph rounds its inputs, by its weight."""
        if self.measured is None:
            return {}
        group_of = json.loads(model.metadata_props.get(DIVIDED, "{}"))
        ranges = {}
        for name, parameter in parameters(model).items():
            if parameter.encoding is None or parameter.encoding.input_bits is None:
                continue
            if name in group_of:
                ranges[name] = self.measured.smoothed[group_of[name]].within
            elif name in self.measured.plain:
                ranges[name] = self.measured.plain[name]
        return ranges


def smoothing(artifact: Artifact, target: Target, policy: Policy, measure: Measure) -> Smoothing:
    """What an artifact asks for, measured if need be.

    Raises:
        UsageError: It asks to smooth inputs that nothing rounds, or without a calibration.
    """
    stored = {policy.default, policy.embeddings, policy.head, *dict(policy.overrides).values()}
    if not any(encoding(name).input_bits for name in stored):
        if artifact.smooth_quant not in (None, "none"):
            raise UsageError(
                f"smooth_quant means nothing for {policy.default}",
                expected="an encoding whose layers round their inputs to 8 bits, such as w8a8",
                remedy="leave out smooth_quant, or choose w8a8",
            )
        return Smoothing(policy)
    alphas = _alphas(artifact)
    if not alphas and not target.fixed_input_ranges:
        return Smoothing(policy)
    measured = measure(alphas)
    if measured is None:
        raise UsageError(
            f"{artifact.folder} needs a calibration: its layers round their inputs to 8 bits",
            found="calibrate: none",
            remedy="calibrate with a text, or choose int8, which leaves inputs as they are",
        )
    if target.fixed_input_ranges:
        policy = replace(policy, unsuited=_unsuited(measured, policy))
    if not alphas:
        return Smoothing(policy, measured)
    divisors = {name: found.divisors for name, found in measured.smoothed.items()}
    return Smoothing(policy, measured, SmoothQuant(divisors, policy))


def _unsuited(measured: Measured, policy: Policy) -> Mapping[str, str]:
    """Layers whose inputs no fixed range of 8 bits holds well, and why."""
    errors = dict(measured.errors)
    for found in measured.smoothed.values():
        # Layers whose input another layer wants as it is are not smoothed.
        if all(
            encoding(policy.override(name) or policy.default).input_bits for name in found.weights
        ):
            errors |= dict.fromkeys(found.weights, found.error)
    reason = f"a fixed range of 8 bits for its inputs costs over {MOST_ERROR:.1%} of its output"
    return {name: reason for name, error in errors.items() if error > MOST_ERROR}


def _alphas(artifact: Artifact) -> Alphas:
    """To choose from; empty if inputs shall stay as they are."""
    match artifact.smooth_quant:
        case None:
            return (DEFAULT_ALPHA,)
        case "none":
            return ()
        case "search":
            return GRID
        case alpha:
            return (float(alpha),)
