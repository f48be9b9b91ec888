"""What an artifact of this target consists of: IRs, configurations, and the tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from targets.base import LayoutRequest, OutputFile
from targets.openvino.companions import configuration_files, tokenizer_files
from targets.openvino.ir_file import IrFiles, ir_files
from targets.openvino.lower import PAST_PREFIX, lower
from targets.openvino.options import Options
from targets.openvino.tokenizer import tokenizer_models

KV_CACHE_RANK = 4


def model_files(request: LayoutRequest, stem: str) -> IrFiles:
    """The IR of a graph, with the options that it shall run with; its weights to be streamed.

    Args:
        stem: Path in the artifact, without an ending.
    """
    options = Options.parse(request.options)
    lowered = lower(request.model, request.input_ranges)
    compressed = any(weight.compressed for weight in lowered.weights)
    groups = [weight.group for weight in lowered.weights if weight.group is not None]
    group = min(groups, default=None)
    for name, value in options.runtime(compressed=compressed, weight_group=group).items():
        lowered.model.set_rt_info(value, ["runtime_options", name])
    return ir_files(lowered, stem)


def unpaged(model: ir.Model) -> tuple[str, ...]:
    """A note, if the graph remembers more than keys and values."""
    pasts = [value for value in model.graph.inputs if str(value.name).startswith(PAST_PREFIX)]
    if all(value.shape is not None and len(value.shape) == KV_CACHE_RANK for value in pasts):
        return ()
    return (
        "openvino_genai runs this model without paged attention, so without continuous batching:"
        " the state of its convolutions is no KV cache",
    )


def companion_files(request: LayoutRequest) -> Iterator[OutputFile]:
    """The configurations, and the tokenizer if it is wanted."""
    yield from configuration_files(request.source)
    if request.tokenizer:
        yield from tokenizer_files(request.source)
        yield from tokenizer_models(request.source.folder)
