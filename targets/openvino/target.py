"""OpenVINO IR for Xeon: a stateful decoder with compressed weights, as LLM pipelines load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedError
from targets.base import Layout, LayoutRequest, OutputFile, Runner, Target, UsageStep
from targets.openvino.options import Options
from targets.ranks.folders import has_ranks

if TYPE_CHECKING:
    import onnx_ir as ir

    from convert.architectures.base import DecoderConfig
    from passes.base import Pass
    from targets.deployment import LayoutCost, Workload

_FLOATS = ("f32", "f16", "bf16")


class OpenVinoTarget(Target):
    """Emits ``openvino_model.xml`` and ``.bin``, with the tokenizer as OpenVINO models beside."""

    name: ClassVar[str] = "openvino"
    library: ClassVar[str | None] = "openvino"
    summary: ClassVar[str] = "OpenVINO IR with compressed weights, for openvino_genai on Xeon"
    encodings: ClassVar[tuple[str, ...]] = (
        "f32",
        "f16",
        "bf16",
        "int8",
        "int8_asym",
        "int4",
        "int4_g64",
        "int4_g32",
        "int4_sym",
        "int4_sym_g64",
        "int4_sym_g32",
        "nf4",
        "nf4_g32",
        "nf4_dq",
        "nf4_dq_g32",
        "w8a8",
    )
    families: ClassVar[frozenset[str]] = frozenset(
        (
            *("bloom", "llama", "mistral", "mixtral"),
            *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "yuan"),
        )
    )
    writes_graphs: ClassVar[bool] = True
    eight_bit: ClassVar[str | None] = "int8"
    table_encodings: ClassVar[Mapping[str, str]] = {"w8a8": "int8"}
    default_encoding: ClassVar[str] = "int8"
    fixed_input_ranges: ClassVar[bool] = True
    option_names: ClassVar[tuple[str, ...]] = tuple(Options.__dataclass_fields__)
    fallbacks: ClassVar[tuple[str, ...]] = ("int8",)
    # OpenVINO 2026.4.1 multiplies one to three rows, as in decoding, by 4-bit weights in groups
    # of 40, 48, 56, 72, 80, 96, 112, 160, 192 or 224 wrongly, without a word; prefill is right.
    power_of_two_groups: ClassVar[bool] = True

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        """Convolutions as matrices, and the cache as state."""
        from passes.kv_cache import StatefulCache
        from passes.lfa_fusion import LfaFusion

        Options.parse(options)
        return (LfaFusion(), StatefulCache())

    def workload(
        self, config: DecoderConfig, model: ir.Model, options: Mapping[str, Any]
    ) -> Workload:
        """As usual; ranks add up float32, and the cache has the precision that the IR asks for."""
        from convert.graph import parameters
        from targets.openvino.options import CACHE_BYTES

        stored = (parameter.encoding for parameter in parameters(model).values())
        compressed = any(one and one.name not in _FLOATS for one in stored)
        precision = Options.parse(options).runtime(compressed=compressed)["KV_CACHE_PRECISION"]
        # Eight bits have a float32 scale and zero point for each head of a token.
        scales = 8 / config.head_dim if precision == "u8" else 0
        usual = super().workload(config, model, options)
        return replace(usual, cache_bytes=CACHE_BYTES[precision] + scales, exchange_bytes=4)

    def lay_out(self, request: LayoutRequest) -> Layout:
        """The IR with its weights to be streamed, configurations, and the tokenizer."""
        from convert.graph import notes
        from targets.openvino.layout import companion_files, model_files, unpaged

        ir = model_files(request, "openvino_model")
        files: list[OutputFile] = [ir.xml, ir.bin, *companion_files(request)]
        return Layout(tuple(files), ir.jobs, (*notes(request.model), *unpaged(request.model)))

    def lay_out_ranks(self, requests: Sequence[LayoutRequest]) -> Layout:
        """An IR for each rank, a launch file, and the companions."""
        from targets.openvino.parallel.layout import lay_out_ranks

        return lay_out_ranks(requests)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        """The CPU plugin with the options that the artifact carries."""
        if has_ranks(artifact):
            from targets.openvino.parallel.runner import OpenVinoRanksRunner

            return OpenVinoRanksRunner(artifact, threads=threads)
        from targets.openvino.run import OpenVinoRunner

        return OpenVinoRunner(artifact, threads=threads)

    def profiling_runner(self, artifact: Path, *, threads: int) -> Runner:
        """The CPU plugin counting; ranks tell by their launch file."""
        if has_ranks(artifact):
            raise UnsupportedError(
                f"the ranks of {artifact} tell no times by operator to another process",
                remedy="run its launch.sh with --profile",
            )
        from targets.openvino.profile import COUNTING
        from targets.openvino.run import OpenVinoRunner

        return OpenVinoRunner(artifact, threads=threads, overrides=COUNTING)

    def layout_cost(self, config: DecoderConfig, options: Mapping[str, Any]) -> LayoutCost:
        """OpenVINO itself builds the IR."""
        from targets.deployment import LayoutCost

        return LayoutCost(0.4, 290_000_000)

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        from targets.openvino.usage import usage

        return usage(files, folder)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """The constants of the IR, read by OpenVINO, with their decompression carried out."""
        if has_ranks(artifact):
            from targets.openvino.parallel.stored import stored_ranks

            return stored_ranks(artifact)
        from targets.openvino.stored import stored_weights

        return stored_weights(artifact)
