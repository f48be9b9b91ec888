"""A model's artifacts, planned one by one: the graph of each, its bytes, and its machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.calibration_cost import passage, text_runs
from convert.chunks import chunk_count
from convert.hardware.profile import Hardware
from convert.planned_artifact import ArtifactPlan, by_encoding
from convert.prediction.asked import Asked
from convert.prediction.on_hardware import HardwarePlan, plan_on
from convert.preparation import deployment_options, stored_graph
from convert.quantized_already import require_unquantized
from convert.recipe import Artifact, Recipe
from convert.stream import CHUNK_BYTES
from convert.unread_weights import unread_weights
from passes.quantize import coverage
from targets import target
from targets.deployment import Workload


class Planner:
    """A model and a recipe. The model's float graph is built no oftener than it has to be.

    Args:
        raw_config: config.json as it is.
        recipe: What texts are run, and what weights scales.

    Raises:
        UnsupportedError: The architecture or a key of the config is not supported.
        BrokenInputError: A key is missing or contradicts another.
    """

    def __init__(self, raw_config: Mapping[str, Any], recipe: Recipe) -> None:
        architecture = architecture_of(raw_config)
        require_unquantized(raw_config, "the checkpoint")
        self.config = architecture.parse(raw_config)
        self._raw, self._recipe = raw_config, recipe
        self._weights = unread_weights(architecture.parameters(self.config), raw_config)
        built = architecture.build(self.config, self._weights)
        self.met = passage(built)
        """What a text meets on its way through the model."""
        self._built: ir.Model | None = built

    @property
    def parameters(self) -> int:
        """Weights, a tied head counted once."""
        return sum(weight.rows * weight.columns for weight in self._weights.values())

    @property
    def source_bytes(self) -> int:
        """Of the checkpoint's weights, as the config states their type."""
        return sum(weight.nbytes for weight in self._weights.values())

    @property
    def chunks(self) -> int:
        """That a run cuts the weights into, each of which is a task of a fleet."""
        return sum(chunk_count(weight, CHUNK_BYTES) for weight in self._weights.values())

    def graph(self, artifact: Artifact) -> ir.Model:
        """The graph of an artifact, whose encoding is resolved, with that of each parameter."""
        # What is built is used up by the first artifact, whose passes rewrite it.
        built, self._built = self._built, None
        return stored_graph(
            self._raw,
            self.config,
            self._weights,
            artifact,
            strict=False,
            imatrix=self._recipe.imatrix is not None,
            built=built,
        )

    def planned(
        self, artifact: Artifact, machines: Mapping[str, Hardware], asked: Asked
    ) -> ArtifactPlan:
        """Everything about an artifact.

        Args:
            artifact: With its encoding resolved.
            machines: By name: where it may run.
            asked: What it is to do there.

        Raises:
            UsageError: An option of the artifact is wrong.
            UnsupportedError: The model cannot be expressed for the target, or a machine has not
                what the artifact needs.
        """
        graph = self.graph(artifact)
        into, options = target(artifact.format), deployment_options(artifact)
        runs = text_runs(
            self._recipe,
            artifact,
            self.config,
            met=self.met,
            stored=graph,
            observed=into.needs_observations(graph, options),
        )
        deployed, _ = self._deployed(options, artifact, graph, asked)
        return ArtifactPlan(
            artifact,
            by_encoding(coverage(graph)),
            into.plan_deployment(self.config, graph, deployed),
            runs,
            tuple(
                self.on(name, hardware, artifact, graph, asked)
                for name, hardware in machines.items()
            ),
        )

    def on(
        self, name: str, hardware: Hardware, artifact: Artifact, graph: ir.Model, asked: Asked
    ) -> HardwarePlan:
        """An artifact on a machine; its target's own plan of memory, where it has one for that."""
        into = target(artifact.format)
        own = {key: hardware.settings[key] for key in hardware.settings if key in into.option_names}
        base = {**deployment_options(artifact), **own}
        options, work = self._deployed(base, artifact, graph, asked)
        if artifact.encoding is not None and not artifact.is_mix:
            into.stored_as(artifact.encoding, options)  # refuses what the hardware has not
        held = into.plan_deployment(self.config, graph, options) if own else None
        return plan_on(name, hardware, self.config, graph, work, memory=held)

    def _deployed(
        self, options: Mapping[str, Any], artifact: Artifact, graph: ir.Model, asked: Asked
    ) -> tuple[Mapping[str, Any], Workload]:
        """Options with what is asked, and the deployment that comes of them."""
        into = target(artifact.format)
        work = into.workload(self.config, graph, options)
        if artifact.tensor_parallel is not None:
            work = replace(work, devices=artifact.tensor_parallel, whole_embedding=False)
        work = asked.applied(work, self.config)
        return asked.options(options, into, work), work
