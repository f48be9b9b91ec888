"""What a recipe would make of a model, from its config.json alone: bytes, cost, whether it fits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.calibration_cost import passage, text_runs
from convert.config_only import NamedConfig
from convert.errors import DoesNotFitError
from convert.hardware.catalogue import load_hardware
from convert.hardware.profile import Hardware
from convert.planned_artifact import ArtifactPlan, FileSize, by_encoding
from convert.prediction.asked import Asked
from convert.prediction.conversion import ConversionCost, conversion_cost
from convert.prediction.on_hardware import HardwarePlan, plan_on
from convert.preparation import deployment_options, resolve_encoding, stored_graph
from convert.recipe import Artifact, Recipe
from convert.unread_weights import unread_weights
from passes.quantize import coverage
from targets import target
from targets.deployment import DeploymentPlan, Workload


@dataclass(frozen=True)
class Plan:
    """What a recipe would make of a model.

    Args:
        label: Name of the model.
        parameters: Its weights, a tied head counted once.
        artifacts: In the order of the recipe.
        conversion: What a run will cost on this machine.
    """

    label: str
    parameters: int
    artifacts: tuple[ArtifactPlan, ...]
    conversion: ConversionCost

    def require_fit(self) -> None:
        """Refuse a plan that cannot be deployed.

        Raises:
            DoesNotFitError: The devices of an artifact are too small; all such artifacts are
                named.
        """
        lacking = list(self._lacking())
        if len(lacking) == 1:
            lacking[0][1].require_fit()
        if lacking:
            raise DoesNotFitError(
                f"{len(lacking)} {'artifacts do' if len(self.artifacts) > 1 else 'times it does'} "
                "not fit the devices",
                found="; ".join(
                    f"{name}: {each.shortfall:,} bytes short" for name, each in lacking
                ),
                remedy="see the remedy that is printed with each",
            )

    def _lacking(self) -> Iterator[tuple[str, DeploymentPlan]]:
        """What does not fit: the artifact and, if machines were named, the machine."""
        for one in self.artifacts:
            places = [f" on {each.name}" for each in one.hardware] or [""]
            for place, deployment in zip(places, one.deployments, strict=False):
                if not deployment.fits:
                    yield f"{one.artifact.folder}{place}", deployment

    def as_text(self) -> str:
        """The plan for a terminal."""
        parts = ["\n".join(one.lines()) for one in self.artifacts]
        seen = {each.name: each for one in self.artifacts for each in one.hardware}
        assumed = ["\n".join(each.assumptions()) for each in seen.values()]
        sources = ["\n".join(["Assumptions", *assumed])] if assumed else []
        cost = "\n".join(self.conversion.lines())
        return "\n\n".join(
            [f"{self.label}: {self.parameters:,} parameters", *parts, cost, *sources]
        )

    def as_json(self) -> str:
        """Everything, as one JSON object."""
        document = {
            "model": self.label,
            "parameters": self.parameters,
            "artifacts": [one.to_json() for one in self.artifacts],
            "conversion": self.conversion.to_json(),
        }
        return json.dumps(document, indent=2, ensure_ascii=False)


def plan(
    model: NamedConfig,
    recipe: Recipe,
    *,
    hardware: Sequence[str] = (),
    asked: Asked | None = None,
    files: Sequence[tuple[FileSize, ...]] | None = None,
) -> Plan:
    """Plan every artifact of a recipe; no weight is needed.

    Args:
        hardware: Names of machines, or files; none for those that the recipe names.
        asked: What the artifacts are to do there; None for what their targets take for usual.
        files: Of each artifact, if they were laid out.

    Raises:
        UnsupportedError: The model cannot be expressed for a target.
        UsageError: A target, an option or a machine is unknown, or what is asked is impossible.
    """
    machines = {name: load_hardware(name) for name in hardware or recipe.hardware}
    planner = _Planner(model, recipe, machines, asked or Asked())
    artifacts = [planner.planned(resolve_encoding(artifact)) for artifact in recipe.artifacts]
    if files is not None:
        artifacts = [replace(one, files=own) for one, own in zip(artifacts, files, strict=True)]
    cost = conversion_cost(recipe, artifacts, planner.config, planner.source_bytes)
    return Plan(model.label, planner.parameters, tuple(artifacts), cost)


class _Planner:
    """A model and a recipe; the model's float graph is built no oftener than it has to be."""

    def __init__(
        self,
        model: NamedConfig,
        recipe: Recipe,
        machines: Mapping[str, Hardware],
        asked: Asked,
    ) -> None:
        architecture = architecture_of(model.raw)
        self.config = architecture.parse(model.raw)
        asked.require(self.config)
        self._raw, self._recipe, self._machines, self._asked = model.raw, recipe, machines, asked
        self._weights = unread_weights(architecture.parameters(self.config), model.raw)
        built = architecture.build(self.config, self._weights)
        self._met = passage(built)
        self._built: ir.Model | None = built

    @property
    def parameters(self) -> int:
        return sum(weight.rows * weight.columns for weight in self._weights.values())

    @property
    def source_bytes(self) -> int:
        """Of the checkpoint's weights, as the config states their type."""
        return sum(weight.nbytes for weight in self._weights.values())

    def planned(self, artifact: Artifact) -> ArtifactPlan:
        into, options = target(artifact.format), deployment_options(artifact)
        # What is built is used up by the first artifact, whose passes rewrite it.
        built, self._built = self._built, None
        graph = stored_graph(
            self._raw,
            self.config,
            self._weights,
            artifact,
            strict=False,
            imatrix=self._recipe.imatrix is not None,
            built=built,
        )
        runs = text_runs(
            self._recipe,
            artifact,
            self.config,
            met=self._met,
            stored=graph,
            observed=into.needs_observations(graph, options),
        )
        machines = self._machines.items()
        return ArtifactPlan(
            artifact,
            by_encoding(coverage(graph)),
            into.plan_deployment(self.config, graph, self._options(options, artifact, graph)[0]),
            runs,
            tuple(self._on(name, each, artifact, graph) for name, each in machines),
        )

    def _options(
        self, options: Mapping[str, Any], artifact: Artifact, graph: ir.Model
    ) -> tuple[Mapping[str, Any], Workload]:
        """Options with what is asked, and the deployment that comes of them."""
        into = target(artifact.format)
        work = into.workload(self.config, graph, options)
        if artifact.tensor_parallel is not None:
            work = replace(work, devices=artifact.tensor_parallel, whole_embedding=False)
        work = self._asked.applied(work, self.config)
        return self._asked.options(options, into, work), work

    def _on(
        self, name: str, hardware: Hardware, artifact: Artifact, graph: ir.Model
    ) -> HardwarePlan:
        into = target(artifact.format)
        own = {key: hardware.settings[key] for key in hardware.settings if key in into.option_names}
        base = {**deployment_options(artifact), **own}
        options, work = self._options(base, artifact, graph)
        if artifact.encoding is not None and not artifact.is_mix:
            into.stored_as(artifact.encoding, options)  # refuses what the hardware has not
        held = into.plan_deployment(self.config, graph, options) if own else None
        return plan_on(name, hardware, self.config, graph, work, memory=held)
