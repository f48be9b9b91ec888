"""The plan of a deployment as users see it: memory, and the shapes that graphs are captured for."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from targets.deployment import DeploymentPlan
from targets.gaudi.buckets import choose_buckets, static_buckets
from targets.gaudi.deployment import VLLM_FAMILIES
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import GaudiOptions


def deployment_plan(
    config: DecoderConfig, model: ir.Model, options: GaudiOptions
) -> DeploymentPlan:
    """The memory of a card, with the buckets for vLLM and the prompts of static programs.

    Args:
        model: The graph with the encoding of each parameter; no weight is read.

    Raises:
        BrokenInputError: The file of lengths cannot be read.
    """
    plan = plan_memory(config, model, options)
    shapes = []
    if config.family in VLLM_FAMILIES:
        buckets = choose_buckets(config, options)
        shapes += [f"vLLM: {line}" for line in buckets.lines()]
    if options.graphs:
        sizes = ", ".join(map(str, static_buckets(options, config)))
        shapes.append(f"static programs: decoding, and prompts of {sizes} tokens")
    return replace(plan, figures=(*plan.figures, *shapes))
