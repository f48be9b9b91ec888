"""What a recipe would make of a model, from its config.json alone: bytes, and whether they fit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from convert.architectures import architecture_of
from convert.calibration_cost import TextRun, measured_rates, text_runs
from convert.config_only import NamedConfig
from convert.errors import DoesNotFitError
from convert.preparation import deployment_options, resolve_encoding, stored_graph
from convert.recipe import Artifact, Recipe
from convert.unread_weights import unread_weights
from passes.quantize import TensorCoverage, coverage
from targets import target
from targets.deployment import DeploymentPlan


@dataclass(frozen=True)
class EncodedBytes:
    """All tensors of one role that are stored in one encoding.

    Args:
        role: ``embedding``, ``head``, ``linear`` or ``other``.
        encoding: Name.
        tensors: How many.
        elements: In all of them.
        nbytes: Of all of them.
    """

    role: str
    encoding: str
    tensors: int
    elements: int
    nbytes: int


@dataclass(frozen=True)
class ArtifactPlan:
    """One artifact before it is made.

    Args:
        artifact: Its description, the encoding resolved.
        weights: The bytes of its weights; files have headers and a tokenizer besides. Of a mix,
            which is found by measuring, what its tensors would have in 8 bits.
        deployment: What the devices it is for will hold; None if it names none.
        text_runs: What it costs to run a text through the model, where that is needed.
    """

    artifact: Artifact
    weights: tuple[EncodedBytes, ...]
    deployment: DeploymentPlan | None
    text_runs: tuple[TextRun, ...] = ()

    @property
    def nbytes(self) -> int | None:
        """Bytes of all weights together; the most that a mix may have, None if none is set."""
        if self.artifact.target_bits is not None:
            return int(self.artifact.target_bits * sum(one.elements for one in self.weights) / 8)
        if self.artifact.is_mix:
            return None
        return sum(one.nbytes for one in self.weights)

    def lines(self) -> list[str]:
        """The plan for a terminal."""
        rows = [
            (one.role, one.encoding, f"{one.tensors:,} tensors", f"{one.nbytes:,} bytes")
            for one in self._known
        ]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
        table = [
            "  ".join(["", *map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])])
            for row in rows
        ]
        deployment = self.deployment.lines() if self.deployment else []
        runs = [f"  to {run.line(measured_rates())}" for run in self.text_runs]
        return [f"{self.artifact.folder}: {self._size}", *table, *runs, *deployment]

    @property
    def _known(self) -> tuple[EncodedBytes, ...]:
        """The weights whose encodings are known before anything is measured."""
        return () if self.artifact.is_mix else self.weights

    @property
    def _size(self) -> str:
        if self.nbytes is None:
            return "a mix of encodings and its bytes are found by measuring, in a run"
        if self.artifact.is_mix:
            return f"at most {self.nbytes:,} bytes of weights; a run finds the mix by measuring"
        return f"{self.nbytes:,} bytes of weights"

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "artifact": self.artifact.folder,
            "format": self.artifact.format,
            "bytes": self.nbytes,
            "weights": [
                {
                    "role": one.role,
                    "encoding": one.encoding,
                    "tensors": one.tensors,
                    "elements": one.elements,
                    "bytes": one.nbytes,
                }
                for one in self._known
            ],
            "deployment": self.deployment.to_json() if self.deployment else None,
            "calibration": [run.to_json(measured_rates()) for run in self.text_runs],
        }


@dataclass(frozen=True)
class Plan:
    """What a recipe would make of a model.

    Args:
        label: Name of the model.
        parameters: Its weights, a tied head counted once.
        artifacts: In the order of the recipe.
    """

    label: str
    parameters: int
    artifacts: tuple[ArtifactPlan, ...]

    def require_fit(self) -> None:
        """Refuse a plan that cannot be deployed.

        Raises:
            DoesNotFitError: The devices of an artifact are too small; all such artifacts are
                named.
        """
        lacking = [one for one in self.artifacts if one.deployment and not one.deployment.fits]
        if len(lacking) > 1:
            raise DoesNotFitError(
                f"{len(lacking)} artifacts do not fit their devices",
                found="; ".join(
                    f"{one.artifact.folder}: {one.deployment.shortfall:,} bytes short"
                    for one in lacking
                    if one.deployment
                ),
                remedy="see the remedy that is printed with each",
            )
        for one in lacking:
            if one.deployment:
                one.deployment.require_fit()

    def as_text(self) -> str:
        """The plan for a terminal."""
        parts = ["\n".join(one.lines()) for one in self.artifacts]
        return "\n\n".join([f"{self.label}: {self.parameters:,} parameters", *parts])

    def as_json(self) -> str:
        """Everything, as one JSON object."""
        document = {
            "model": self.label,
            "parameters": self.parameters,
            "artifacts": [one.to_json() for one in self.artifacts],
        }
        return json.dumps(document, indent=2, ensure_ascii=False)


def plan(model: NamedConfig, recipe: Recipe) -> Plan:
    """Plan every artifact of a recipe; no weight is needed.

    Raises:
        UnsupportedError: The model cannot be expressed for a target.
        UsageError: A target or an option is unknown.
    """
    architecture = architecture_of(model.raw)
    config = architecture.parse(model.raw)
    weights = unread_weights(architecture.parameters(config), model.raw)
    original = architecture.build(config, weights)

    def planned(artifact: Artifact) -> ArtifactPlan:
        imatrix = recipe.imatrix is not None
        graph = stored_graph(model.raw, config, weights, artifact, strict=False, imatrix=imatrix)
        options = deployment_options(artifact)
        into = target(artifact.format)
        deployment = into.plan_deployment(config, graph, options)
        runs = text_runs(
            recipe,
            artifact,
            config,
            graph=original,
            stored=graph,
            observed=into.needs_observations(graph, options),
        )
        return ArtifactPlan(artifact, _by_encoding(coverage(graph)), deployment, runs)

    artifacts = tuple(planned(resolve_encoding(artifact)) for artifact in recipe.artifacts)
    parameters = sum(weight.rows * weight.columns for weight in weights.values())
    return Plan(model.label, parameters, artifacts)


def _by_encoding(tensors: Sequence[TensorCoverage]) -> tuple[EncodedBytes, ...]:
    """Sums by role and encoding, the largest first."""
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    for tensor in tensors:
        key = (tensor.role, tensor.encoding)
        count, elements, nbytes = sums.get(key, (0, 0, 0))
        sums[key] = (count + 1, elements + math.prod(tensor.shape), nbytes + tensor.nbytes)
    return tuple(
        EncodedBytes(role, encoding, *totals)
        for (role, encoding), totals in sorted(
            sums.items(), key=lambda item: (-item[1][2], item[0])
        )
    )
