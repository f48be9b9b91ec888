"""A GGUF file becomes a Hugging Face checkpoint: dequantized, renamed, row order undone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig, Shape
from convert.checkpoint import compare_tensors
from convert.errors import (
    NonFiniteWeightError,
    OutputExistsError,
    TensorMismatchError,
    UsageError,
)
from convert.finite import all_finite
from convert.gguf_config import config_of
from convert.gguf_names import hugging_face_name
from convert.gguf_rows import row_order
from convert.sources.gguf_file import GgufFile, GgufTensor
from convert.sources.gguf_shards import open_gguf
from convert.sources.safetensors_writer import Entry, write_checkpoint
from convert.weights import FloatType, Rows

# Held in the configuration instead of the weights.
_NOT_WEIGHTS = frozenset({"rope_freqs.weight"})
_CHUNK_ELEMENTS = 1 << 22


def import_gguf(path: Path, out: Path, dtype: str = "bf16") -> tuple[Path, ...]:
    """Write the checkpoint that ``path`` was made from, as far as the quantization left it.

    Memory is bounded by a chunk of rows. ``out`` appears only when complete.

    Args:
        path: The GGUF file; the first one of several shards.
        out: The folder to make.
        dtype: Storage type of the weights: ``bf16``, ``f16`` or ``f32``.

    Returns:
        The files it was made of: ``path``, and the other shards.

    Raises:
        OutputExistsError: ``out`` is already there.
        UsageError: ``dtype`` is none of the three, or ``path`` is a later shard.
        UnsupportedError: Architecture, configuration, tokenizer or quantization is unknown.
        BrokenInputError: The file is damaged or contradicts itself.
    """
    from convert.gguf_tokenizer import write_tokenizer

    if dtype not in {kind.value for kind in FloatType}:
        raise UsageError(f"no dtype {dtype!r}", expected="bf16, f16 or f32")
    if out.exists():
        raise OutputExistsError(f"{out} exists", remedy="remove it or name another folder")
    gguf = open_gguf(path)
    config = config_of(gguf)
    architecture = architecture_of(config)
    parsed = architecture.parse(config)
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        config["torch_dtype"] = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype]
        _write_json(partial / "config.json", config)
        _write_json(partial / "generation_config.json", _generation_config(gguf, config))
        write_tokenizer(gguf, partial, vocab=parsed.vocab, max_positions=parsed.max_positions)
        expected = architecture.parameters(parsed)
        _write_weights(gguf, parsed, expected, FloatType(dtype), partial)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return gguf.files


def _write_weights(
    gguf: GgufFile,
    config: DecoderConfig,
    expected: Mapping[str, Shape],
    dtype: FloatType,
    folder: Path,
) -> None:
    family = config.family
    sources: dict[str, GgufTensor] = {}
    for tensor in gguf.tensors.values():
        if tensor.name in _NOT_WEIGHTS:
            continue
        name = hugging_face_name(family, tensor.name)
        if name is None:
            raise TensorMismatchError(
                f"{gguf.path}: tensor {tensor.name!r} has no place in a {family}",
                remedy="convert from the original Hugging Face checkpoint",
            )
        sources[name] = tensor
    compare_tensors(str(gguf.path), {n: tensor.shape for n, tensor in sources.items()}, expected)

    def chunks(name: str) -> Iterator[Rows]:
        order = row_order(family, name, sources[name].shape[0], config.head_dim)
        return _chunks(gguf, sources[name], order, dtype)

    entries = [Entry(name, tensor.shape, dtype) for name, tensor in sources.items()]
    write_checkpoint(folder, entries, chunks)


def _chunks(
    gguf: GgufFile, tensor: GgufTensor, order: NDArray[np.int64] | None, dtype: FloatType
) -> Iterator[Rows]:
    """The rows as the checkpoint has them, a few at a time.

    Args:
        order: Row ``i`` of the file is row ``order[i]`` of the checkpoint; None for the same.
    """
    columns = int(np.prod(tensor.shape[1:], dtype=np.int64))
    step = max(1, _CHUNK_ELEMENTS // columns)
    places = None if order is None else np.argsort(order)
    for start in range(0, tensor.shape[0], step):
        stop = min(start + step, tensor.shape[0])
        if places is None:
            rows = gguf.read_rows(tensor, start, stop)
        else:
            rows = _scattered_rows(gguf, tensor, places[start:stop])
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(rows.astype(dtype.numpy))
        if not all_finite(stored):
            raise NonFiniteWeightError(
                f"{gguf.path}: tensor {tensor.name!r} holds values that {dtype.value} cannot",
                found=f"NaN or infinity in rows {start} to {start + len(rows)}",
                remedy="import with dtype bf16 or f32, or download the file again",
            )
        yield stored


def _scattered_rows(gguf: GgufFile, tensor: GgufTensor, places: NDArray[np.int64]) -> Rows:
    """The rows at ``places``, in that order; neighbours are read at once."""
    ascending = np.sort(places)
    runs = np.split(ascending, np.flatnonzero(np.diff(ascending) > 1) + 1)
    read = np.concatenate([gguf.read_rows(tensor, int(run[0]), int(run[-1]) + 1) for run in runs])
    rows: Rows = read[np.searchsorted(ascending, places)]
    return rows


def _generation_config(gguf: GgufFile, config: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    generation: dict[str, Any] = {key: config[key] for key in keys if config[key] is not None}
    end_of_turn = gguf.value("tokenizer.ggml.eot_token_id", int)
    end = generation.get("eos_token_id")
    if end is not None and end_of_turn not in (None, end):
        generation["eos_token_id"] = [end, end_of_turn]
    return {"_from_model_config": True, **generation}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
