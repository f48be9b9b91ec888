"""PyTorch on Xeon: a checkpoint that IPEX, transformers, vLLM and sglang read alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from passes.base import Pass
from targets.base import Layout, LayoutRequest, Runner, Target, UsageStep
from targets.option_names import refuse_unknown
from targets.safetensors_layout import MAX_SHARD_BYTES


class IpexTarget(Target):
    """See the module; a checkpoint is one whole, since runtimes slice it while loading."""

    name = "ipex"
    library: ClassVar[str | None] = "transformers"
    summary = (
        "PyTorch on Xeon: safetensors for IPEX 2.8, stock PyTorch/transformers, vLLM-CPU, sglang"
    )
    encodings = ("bf16", "f32", "int4_sym", "w8a8")
    families = frozenset({"bloom", "llama", "mistral", "qwen2", "qwen3"})
    refusals: ClassVar[Mapping[str, str]] = {
        "yuan": "transformers runs Yuan by code from the checkpoint only, which is never carried "
        "over, and vLLM and sglang do not run it"
    }
    default_encoding = "bf16"
    vector_encoding = "bf16"
    vector_encodings: ClassVar[Mapping[str, str]] = {"f32": "f32"}
    table_encodings: ClassVar[Mapping[str, str]] = {"int4_sym": "bf16", "w8a8": "bf16"}
    power_of_two_groups = True
    one_group_size = True
    runs_in_torch = True
    max_shard_bytes: ClassVar[int] = MAX_SHARD_BYTES

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        refuse_unknown(self.name, options, self.option_names)
        return ()

    def lay_out(self, request: LayoutRequest) -> Layout:
        from targets.ipex.layout import lay_out

        refuse_unknown(self.name, request.options, self.option_names)
        return lay_out(request, self.max_shard_bytes)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.ipex.run import IpexRunner

        return IpexRunner(artifact, threads=threads)

    def usage(self, files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
        from targets.ipex.usage import usage

        return usage(files, folder)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        from targets.ipex.stored import stored_weights

        return stored_weights(artifact)
