"""Gaudi: a checkpoint in BF16 or FP8 with the programs and settings that keep decoding static."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from convert.errors import UnsupportedEncodingError
from passes.base import Pass
from passes.encodings import encoding
from passes.encodings.fp8 import Fp8
from passes.kv_cache import StaticCache
from targets.base import Layout, LayoutRequest, Runner, Target, UsageStep
from targets.gaudi.options import GaudiOptions, parse_options
from targets.ranks.folders import has_ranks
from targets.safetensors_layout import MAX_SHARD_BYTES

if TYPE_CHECKING:
    from convert.architectures.base import DecoderConfig
    from targets.deployment import DeploymentPlan, LayoutCost, Workload

_DECODE = StaticCache(batch=1, tokens=1, length=256)
"""The decode step that a run proves to exist; the programs have the deployment's own sizes."""

_DEPLOYMENT = frozenset({"card", "cards", "batch", "prompt_tokens", "new_tokens", "lengths"})
"""Options that describe a deployment; where none is given, none is planned."""

_EXPORT_SECONDS, _LAYER_SECONDS = 9, 1.1
_EXPORT_MEMORY, _EXPORTED_MEMORY = 600_000_000, 220_000_000
"""Of torch while it exports programs: at all, for each decoder layer, and the memory of it; and
memory where the programs are kept from an earlier run."""


class GaudiTarget(Target):
    """See the module; nothing is sharded per card, since runtimes slice while loading."""

    name = "gaudi"
    library: ClassVar[str | None] = "transformers"
    summary = "BF16 or FP8 safetensors for optimum-habana, DeepSpeed and vLLM on Gaudi"
    encodings = ("bf16", "fp8", "fp8_tensor")
    families = frozenset({"bloom", "llama", "mistral", "qwen2", "qwen3", "yuan"})
    default_encoding = "bf16"
    vector_encoding = "bf16"
    table_encodings: ClassVar[Mapping[str, str]] = {"fp8": "bf16", "fp8_tensor": "bf16"}
    runs_in_torch = True
    option_names = tuple(GaudiOptions.model_fields)
    max_shard_bytes: ClassVar[int] = MAX_SHARD_BYTES

    def stored_as(self, encoding: str, options: Mapping[str, Any]) -> str:
        return _on_card(encoding, parse_options(options))

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        parse_options(options)
        return (_DECODE,)

    def plan_deployment(
        self, config: DecoderConfig, model: ir.Model, options: Mapping[str, Any]
    ) -> DeploymentPlan | None:
        from targets.gaudi.planned import deployment_plan

        parsed = parse_options(options)
        return deployment_plan(config, model, parsed) if _DEPLOYMENT & options.keys() else None

    def workload(
        self, config: DecoderConfig, model: ir.Model, options: Mapping[str, Any]
    ) -> Workload:
        from targets.deployment import Workload

        parsed = parse_options(options)
        return Workload(
            batch=parsed.batch,
            prompt=parsed.longest_prompt(config),
            context=parsed.context(config),
            devices=parsed.cards,
            cache_bytes=1 if parsed.kv_cache == "fp8" else 2,
            whole_embedding=True,
        )

    def needs_observations(self, model: ir.Model, options: Mapping[str, Any]) -> bool:
        from targets.gaudi.checkpoint_tensors import needs_calibration

        parsed = parse_options(options)
        return parsed.inc or needs_calibration(model, parsed)

    def lay_out(self, request: LayoutRequest) -> Layout:
        from targets.gaudi.layout import lay_out

        return lay_out(request, self.max_shard_bytes)

    def options_for_ranks(self, options: Mapping[str, Any], ranks: int) -> Mapping[str, Any]:
        from targets.gaudi.ranks_layout import options_for_ranks

        return {**options, "cards": options_for_ranks(parse_options(options), ranks).cards}

    def lay_out_ranks(self, requests: Sequence[LayoutRequest]) -> Layout:
        from targets.gaudi.ranks_layout import lay_out_ranks

        return lay_out_ranks(requests, self.max_shard_bytes)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        if has_ranks(artifact):
            from targets.gaudi.ranks_run import GaudiRanksRunner

            return GaudiRanksRunner(artifact, threads=threads)
        from targets.gaudi.run import GaudiRunner

        return GaudiRunner(artifact, threads=threads)

    def layout_cost(self, config: DecoderConfig, options: Mapping[str, Any]) -> LayoutCost:
        """Torch exports the programs, several for each artifact."""
        from targets.deployment import LayoutCost

        if not parse_options(options).graphs:
            return LayoutCost()
        seconds = _EXPORT_SECONDS + _LAYER_SECONDS * config.layers
        return LayoutCost(seconds, _EXPORT_MEMORY, memory_again=_EXPORTED_MEMORY)

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        from targets.gaudi.usage import usage

        return usage(files, folder)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.gaudi.stored import stored_ranks, stored_weights

        return stored_ranks(artifact) if has_ranks(artifact) else stored_weights(artifact)


def _on_card(name: str, options: GaudiOptions) -> str:
    """The encoding within the card's range, unless the name says which range."""
    asked, card = encoding(name), options.hardware
    if not isinstance(asked, Fp8):
        return name
    if card.fp8_largest is None:
        raise UnsupportedEncodingError(
            f"{card.title} has no FP8",
            expected="bf16",
            found=name,
            remedy="choose bf16, or another card",
        )
    return type(asked)(int(card.fp8_largest)).name if asked.name == asked.family else name
