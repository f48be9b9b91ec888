"""The files of a checkpoint for Gaudi: weights, settings, static programs, how to deploy it."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from convert.errors import UsageError
from convert.graph import notes, parameters
from convert.weights import RowRanges
from targets.base import Layout, LayoutRequest, OutputFile
from targets.companions import generation_config, json_file, tokenizer_files
from targets.gaudi.buckets import choose_buckets
from targets.gaudi.checkpoint_tensors import checkpoint_tensors
from targets.gaudi.compressed_tensors import quantization_config
from targets.gaudi.deployment import deployment_files, without_runtime
from targets.gaudi.inc import inc_files, inc_note
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import GaudiOptions, parse_options
from targets.gaudi.program_files import program_files
from targets.gaudi.settings import deepspeed_checkpoints, generation_settings, model_config
from targets.gaudi.slicing import uneven_heads
from targets.safetensors_layout import MAX_SHARD_BYTES, lay_out_safetensors

UNVERIFIED = (
    "unverified on Gaudi: no card was at hand; what Tricast runs are its static programs, in torch"
)
RELATIVE = (
    "checkpoints.json names the shards relative to this folder: start DeepSpeed in it, or put "
    "the folder before each name"
)


def lay_out(request: LayoutRequest, max_shard_bytes: int = MAX_SHARD_BYTES) -> Layout:
    """Lay out a whole checkpoint.

    Args:
        max_shard_bytes: Tensor bytes of one file at most.

    Raises:
        UnsupportedError: The graph, an encoding or the tokenizer cannot be expressed.
        UsageError: An option is wrong, or a scale needs a calibration that there was not.
    """
    options = parse_options(request.options)
    config, quantization = model_config(request.source), quantization_config(request.model, options)
    compressed = quantization is not None
    check_inc(options, compressed=compressed)
    stored = checkpoint_tensors(request.model, _of_files(options, compressed), request.observations)
    weights = lay_out_safetensors(stored.tensors, max_shard_bytes)
    generation = generation_settings(
        request.source, generation_config(request.source.folder), options
    )
    settings = {**config, "quantization_config": quantization} if compressed else config
    files = [
        *weights.files,
        json_file("config.json", settings),
        json_file("generation_config.json", generation),
        json_file("checkpoints.json", deepspeed_checkpoints(weights.weight_files)),
        *_deployment(request, options, compressed=compressed),
    ]
    if options.inc:
        files += _measurements(request, options)
    if request.tokenizer:
        files += tokenizer_files(request.source.folder)
    # Last, since it takes seconds: whatever is refused is refused before.
    files += program_files(config, request.source.config, options, stored)
    said = _notes(request, options, compressed=compressed)
    jobs = stored.jobs(weights.placements)
    return Layout(tuple(files), jobs, tuple(note for note in said if note))


def check_inc(options: GaudiOptions, *, compressed: bool) -> None:
    """Refuse two ways to FP8 at once, and an FP8 cache without any."""
    if compressed and options.inc:
        raise UsageError(
            "neural-compressor makes FP8 of BF16 weights, and these are FP8 already",
            found="inc: true",
            remedy="choose encoding bf16, or leave out inc",
        )
    if options.kv_cache == "fp8" and not (compressed or options.inc):
        raise UsageError(
            "nothing would read the scales of an FP8 KV cache beside BF16 weights",
            found="kv_cache: fp8",
            remedy="choose encoding fp8, or inc: true, or leave out kv_cache",
        )


def _of_files(options: GaudiOptions, compressed: bool) -> GaudiOptions:
    """What the checkpoint's own tensors are for: neural-compressor has scales in its own files."""
    return options if compressed else options.model_copy(update={"kv_cache": "bf16"})


def _measurements(request: LayoutRequest, options: GaudiOptions) -> tuple[OutputFile, ...]:
    """What neural-compressor would have measured."""
    if request.observations is None:
        raise UsageError(
            "neural-compressor's measurements need a calibration",
            found="no observations of one",
            remedy="calibrate with a text, or leave out inc",
        )
    fp8_cache = options.kv_cache == "fp8"
    return inc_files(request.observations, request.source.config, fp8_cache=fp8_cache)


def _deployment(
    request: LayoutRequest, options: GaudiOptions, *, compressed: bool
) -> list[OutputFile]:
    config = request.source.config
    return deployment_files(
        request.source,
        options,
        choose_buckets(config, options),
        plan_memory(config, request.model, options),
        compressed=compressed,
    )


def _notes(
    request: LayoutRequest, options: GaudiOptions, *, compressed: bool
) -> Iterator[str | None]:
    config = request.source.config
    yield UNVERIFIED
    yield RELATIVE
    yield from notes(request.model)
    yield options.shortened(config)
    yield uneven_heads(config, options.cards)
    yield without_runtime(config, compressed=compressed)
    yield _rearranged(request.model)
    yield inc_note(config, fp8_cache=options.kv_cache == "fp8") if options.inc else None


def _rearranged(model: ir.Model) -> str | None:
    """What a user should know of weights whose rows are not in the checkpoint's order."""
    names = [name for name, own in parameters(model).items() if isinstance(own.weight, RowRanges)]
    if not names:
        return None
    return (
        f"{names[0]} and {len(names) - 1} more have their rows in the order that the programs "
        "compute with; code that expects the original checkpoint would misread them"
    )
