"""ONNX: the graph itself with external data, inputs and outputs named as optimum names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import UsageError
from targets.base import Layout, LayoutRequest, Runner, Target, UsageStep
from targets.companions import generation_config, json_file, portable_config, tokenizer_files

if TYPE_CHECKING:
    from passes.base import Pass

NOTES = (
    "onnxruntime decodes integer weights as it runs and may quantize activations to 8 bits on the "
    "way; the session option session.disable_quant_qdq=1, which the check used, decodes them "
    "once while loading",
)


class OnnxTarget(Target):
    """See the module."""

    name = "onnx"
    library = "onnx"
    summary = "ONNX graph with a KV cache and external data for onnxruntime"
    encodings = (
        *("f32", "f16", "bf16", "int8", "int8_asym"),
        *("int4", "int4_g64", "int4_g32", "int4_sym", "int4_sym_g64", "int4_sym_g32"),
    )
    families = frozenset(
        (
            *("bloom", "llama", "mistral", "mixtral"),
            *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "yuan"),
        )
    )
    writes_graphs = True
    eight_bit = "int8_asym"
    default_encoding = "f32"
    fallbacks = ("int8",)

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        from passes.kv_cache import DynamicCache
        from passes.lfa_fusion import LfaFusion

        _refuse_options(options)
        return (LfaFusion(), DynamicCache())

    def lay_out(self, request: LayoutRequest) -> Layout:
        from convert.graph import notes
        from targets.onnx.lower import lower

        _refuse_options(request.options)
        source = request.source
        files, jobs = lower(request.model)
        companions = [json_file("config.json", portable_config(source.raw_config))]
        generation = generation_config(source.folder)
        if generation is not None:
            companions.append(json_file("generation_config.json", generation))
        if request.tokenizer:
            companions += tokenizer_files(source.folder)
        integers = any(len(job.placements) > 1 for job in jobs)
        said = (*notes(request.model), *(NOTES if integers else ()))
        return Layout((*files, *companions), jobs, said)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.onnx.run import OnnxRunner

        return OnnxRunner(artifact, threads=threads)

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        from targets.onnx.usage import usage

        return usage(files, folder)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.onnx.stored import read_stored_weights

        return read_stored_weights(artifact)


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise UsageError(
            "the onnx target has no options",
            found=", ".join(sorted(options)),
            remedy="remove them from the recipe",
        )
