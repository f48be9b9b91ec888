"""The files of a checkpoint for PyTorch on Xeon: weights, settings, the tokenizer."""

from __future__ import annotations

from collections.abc import Iterator

from convert.graph import notes
from passes.encodings.floats import FloatEncoding
from passes.encodings.integers import IntegerEncoding
from targets.base import Layout, LayoutRequest
from targets.companions import generation_config, json_file, older_config, tokenizer_files
from targets.ipex.tensors import QuantizedCheckpoint, checkpoint_tensors
from targets.safetensors_layout import MAX_SHARD_BYTES, lay_out_safetensors

UNVERIFIED = (
    "unverified in vLLM, sglang and on a Xeon with AMX: none was at hand; what Tricast runs is "
    "transformers on the CPU at hand"
)
UNPACKED_BY_US = (
    "transformers reads GPTQ by way of GPTQModel; without it, Tricast runs the artifact with "
    "a reader of its own"
)
ONE_GROUP = (
    "IPEX 2.8 cannot load {layer}: its rows are one group each, which it takes for no groups at "
    "all; choose a smaller group for it"
)
WRONG_IN_IPEX = {"bloom": "IPEX 2.8 computes 4-bit checkpoints of BLOOM wrongly; see docs/xeon.md"}
"""Families whose GPTQ checkpoints IPEX loads but does not compute right."""

TABLES = "embeddings and output head are stored in {dtype}, as the format has it"
_TOKEN_KEYS = ("bos_token_id", "eos_token_id", "pad_token_id")
_TORCH_DTYPES = {"f32": "float32", "bf16": "bfloat16"}


def lay_out(request: LayoutRequest, max_shard_bytes: int = MAX_SHARD_BYTES) -> Layout:
    """Lay out a whole checkpoint.

    Args:
        max_shard_bytes: Tensor bytes of one file at most.

    Raises:
        UnsupportedError: An encoding or the tokenizer cannot be expressed.
    """
    stored = checkpoint_tensors(request.model)
    weights = lay_out_safetensors(stored.tensors.tensors, max_shard_bytes)
    dtype = _torch_dtype(stored)
    config = older_config(request.source, dtype)
    if stored.quantization is not None:
        config["quantization_config"] = stored.quantization
    files = [*weights.files, json_file("config.json", config)]
    generation = generation_config(request.source.folder)
    if generation is None:
        raw = request.source.raw_config
        generation = {key: raw[key] for key in _TOKEN_KEYS if raw.get(key) is not None}
    files.append(json_file("generation_config.json", generation))
    if request.tokenizer:
        files += tokenizer_files(request.source.folder)
    said = (*_notes(stored, dtype, request.source.config.family), *notes(request.model))
    return Layout(tuple(files), stored.tensors.jobs(weights.placements), said)


def _torch_dtype(stored: QuantizedCheckpoint) -> str:
    """What runtimes are to compute in: float32 only where every weight is stored so."""
    kinds = {
        filled.encoding.dtype.value if isinstance(filled.encoding, FloatEncoding) else "bf16"
        for filled in stored.tensors.filled
    }
    return _TORCH_DTYPES["f32" if kinds == {"f32"} else "bf16"]


def _notes(stored: QuantizedCheckpoint, dtype: str, family: str) -> Iterator[str]:
    yield UNVERIFIED
    if stored.quantization is not None:
        yield TABLES.format(dtype=dtype)
        if stored.quantization["quant_method"] == "gptq":
            yield UNPACKED_BY_US
            yield from _in_one_group(stored)
            yield from (note for name, note in WRONG_IN_IPEX.items() if name == family)


def _in_one_group(stored: QuantizedCheckpoint) -> Iterator[str]:
    """A note if there are rows of a single group."""
    for filled in stored.tensors.filled:
        weight, encoding = filled.parameter.weight, filled.encoding
        if isinstance(encoding, IntegerEncoding) and encoding.group == weight.columns:
            yield ONE_GROUP.format(layer=weight.name)
            return
