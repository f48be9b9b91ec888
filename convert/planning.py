"""What a recipe would make of a model, from its config.json alone: bytes, cost, whether it fits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.config_only import NamedConfig
from convert.errors import DoesNotFitError, UsageError
from convert.hardware.catalogue import hardware_names, load_hardware
from convert.planned_artifact import ArtifactPlan, FileSize
from convert.planner import Planner
from convert.prediction.asked import Asked
from convert.prediction.conversion import ConversionCost, conversion_cost
from convert.preparation import resolve_encoding
from convert.recipe import Recipe
from targets.deployment import DeploymentPlan

if TYPE_CHECKING:
    from convert.hardware.fleet import Fleet
    from convert.prediction.fleet import FleetCost


@dataclass(frozen=True)
class Plan:
    """What a recipe would make of a model.

    Args:
        label: Name of the model.
        parameters: Its weights, a tied head counted once.
        artifacts: In the order of the recipe.
        conversion: What a run will cost on this machine.
        fleet: What it will cost by a fleet, if that was asked.
    """

    label: str
    parameters: int
    artifacts: tuple[ArtifactPlan, ...]
    conversion: ConversionCost
    fleet: FleetCost | None = None

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
            if one.artifact.is_mix and one.hardware:
                continue  # what it will have is not known yet, but that it is less
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
        parts.append("\n".join(self.conversion.lines()))
        if self.fleet is not None:
            from convert.prediction.fleet_lines import fleet_lines

            parts.append("\n".join(fleet_lines(self.fleet)))
        return "\n\n".join([f"{self.label}: {self.parameters:,} parameters", *parts, *sources])

    def as_json(self) -> str:
        """Everything, as one JSON object."""
        document = {
            "model": self.label,
            "parameters": self.parameters,
            "artifacts": [one.to_json() for one in self.artifacts],
            "conversion": self.conversion.to_json(),
            **({"fleet": self.fleet.to_json()} if self.fleet else {}),
        }
        return json.dumps(document, indent=2, ensure_ascii=False)


def plan(
    model: NamedConfig,
    recipe: Recipe,
    *,
    hardware: Sequence[str] = (),
    asked: Asked | None = None,
    files: Sequence[tuple[FileSize, ...]] | None = None,
    fleet: Fleet | None = None,
    out: Path = Path("out"),
) -> Plan:
    """Plan every artifact of a recipe; no weight is needed.

    Args:
        hardware: Names of machines, or files; none for those that the recipe names.
        asked: What the artifacts are to do there; None for what their targets take for usual.
        files: Of each artifact, if they were laid out.
        fleet: Who else may convert.
        out: Folder that a run would write to.

    Raises:
        UnsupportedError: The model cannot be expressed for a target.
        UsageError: A target, an option or a machine is unknown, or what is asked is impossible.
    """
    machines = {name: load_hardware(name) for name in hardware or recipe.hardware}
    planner = Planner(model.raw, recipe)
    wanted = asked or Asked()
    wanted.require(planner.config)
    artifacts = [
        planner.planned(resolve_encoding(artifact), machines, wanted)
        for artifact in recipe.artifacts
    ]
    if wanted != Asked() and not any(one.deployments for one in artifacts):
        raise UsageError(
            "batch, context and prompt tokens are of a machine, and none is named",
            expected=f"--hardware with one of {', '.join(hardware_names())}",
            remedy="see `convert list hardware`",
        )
    if files is not None:
        artifacts = [replace(one, files=own) for one, own in zip(artifacts, files, strict=True)]
    cost = conversion_cost(recipe, artifacts, planner.config, planner.source_bytes, out=out)
    planned = Plan(model.label, planner.parameters, tuple(artifacts), cost)
    if fleet is None:
        return planned
    from convert.prediction.fleet import FleetCost
    from convert.prediction.fleet_work import fleet_work

    return replace(planned, fleet=FleetCost(fleet_work(planner, artifacts), fleet))
