"""Gaudi: a BF16 checkpoint in safetensors with the settings that keep decoding static."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import UnsupportedEncodingError, UsageError
from convert.parameter import Parameter
from passes.base import Pass
from passes.encodings import encoding
from passes.kv_cache import StaticCache
from targets.base import Layout, LayoutRequest, OutputFile, Runner, Target, WriteJob
from targets.companions import generation_config, json_file, tokenizer_files
from targets.gaudi.settings import deepspeed_checkpoints, generation_settings, model_config
from targets.safetensors_layout import (
    MAX_SHARD_BYTES,
    SafetensorsLayout,
    StoredTensor,
    lay_out_safetensors,
)

_DECODE = StaticCache(batch=1, tokens=1, length=256)
"""The decode step that a run proves to exist; a card captures its own at its own sizes."""

NOTES = (
    "unverified on Gaudi: no card was at hand; the artifact was run by a torch lowering of its "
    "static decode graph",
    "checkpoints.json names the shards relative to this folder: start DeepSpeed in it, or put "
    "the folder before each name",
)


class GaudiTarget(Target):
    """See the module; nothing is sharded per card, since DeepSpeed slices while loading."""

    name = "gaudi"
    summary = "BF16 safetensors for optimum-habana, DeepSpeed and vLLM on Gaudi"
    encodings = ("bf16",)
    families = frozenset({"llama", "mistral", "qwen2", "qwen3"})
    default_encoding = "bf16"
    vector_encoding = "bf16"
    runs_in_torch = True
    max_shard_bytes: ClassVar[int] = MAX_SHARD_BYTES

    def passes(self, options: Mapping[str, Any]) -> Sequence[Pass]:
        _refuse_options(options)
        return (_DECODE,)

    def lay_out(self, request: LayoutRequest) -> Layout:
        _refuse_options(request.options)
        parameters = _parameters(request)
        weights = lay_out_safetensors(
            [_stored(parameter) for parameter in parameters], self.max_shard_bytes
        )
        files = [*weights.files, *_settings(request, weights)]
        if request.tokenizer:
            files += tokenizer_files(request.source.folder)
        bf16 = encoding("bf16")
        jobs = tuple(
            WriteJob(parameter.weight, bf16, (weights.placements[parameter.weight.name],))
            for parameter in parameters
        )
        return Layout(tuple(files), jobs, NOTES)

    def runner(self, artifact: Path, *, threads: int) -> Runner:
        from targets.gaudi.run import GaudiRunner

        return GaudiRunner(artifact, threads=threads)

    def stored_weights(self, artifact: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
        import ml_dtypes  # noqa: F401 - teaches numpy bfloat16
        from safetensors import safe_open

        for path in sorted(artifact.glob("*.safetensors")):
            with safe_open(path, framework="numpy") as shard:
                for name in shard.keys():  # noqa: SIM118 - not a mapping
                    yield name, shard.get_tensor(name).astype(np.float32)


def _parameters(request: LayoutRequest) -> list[Parameter]:
    found = [value.const_value for value in request.model.graph.initializers.values()]
    parameters = [tensor for tensor in found if isinstance(tensor, Parameter)]
    for parameter in parameters:
        if parameter.encoding is not None and parameter.encoding.name != "bf16":
            raise UnsupportedEncodingError(
                f"the gaudi target cannot store {parameter.weight.name!r}",
                expected="bf16",
                found=parameter.encoding.name,
            )
    return parameters


def _stored(parameter: Parameter) -> StoredTensor:
    weight = parameter.weight
    return StoredTensor(weight.name, "BF16", weight.shape, 2 * weight.rows * weight.columns)


def _settings(request: LayoutRequest, weights: SafetensorsLayout) -> list[OutputFile]:
    source = request.source
    generation = generation_settings(source, generation_config(source.folder))
    return [
        json_file("config.json", model_config(source)),
        json_file("generation_config.json", generation),
        json_file("checkpoints.json", deepspeed_checkpoints(weights.weight_files)),
    ]


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise UsageError(
            "the gaudi target has no options",
            found=", ".join(sorted(options)),
            remedy="remove them from the recipe",
        )
