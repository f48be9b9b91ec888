"""A GGUF file becomes a Hugging Face checkpoint: dequantized, renamed, row order undone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from convert.architectures import architecture_of
from convert.checkpoint import compare_tensors
from convert.errors import (
    NonFiniteWeightError,
    OutputExistsError,
    TensorMismatchError,
    UsageError,
)
from convert.finite import all_finite
from convert.gguf_config import config_of
from convert.sources.gguf_file import GgufFile, GgufTensor
from convert.sources.gguf_shards import open_gguf
from convert.sources.safetensors_writer import Entry, write_checkpoint
from convert.weights import FloatType, Rows

_OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
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
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        config["torch_dtype"] = {"bf16": "bfloat16", "f16": "float16", "f32": "float32"}[dtype]
        _write_json(partial / "config.json", config)
        _write_json(partial / "generation_config.json", _generation_config(gguf, config))
        write_tokenizer(gguf, config, partial)
        _write_weights(gguf, config, FloatType(dtype), partial)
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return gguf.files


def hugging_face_name(name: str) -> str | None:
    """The checkpoint's name of a GGUF tensor; None if there is none.

    >>> hugging_face_name("blk.3.attn_q.weight")
    'model.layers.3.self_attn.q_proj.weight'
    """
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    prefix, _, rest = name.partition(".")
    layer, _, rest = rest.partition(".")
    part, _, kind = rest.rpartition(".")
    if prefix != "blk" or not layer.isdecimal() or part not in _IN_LAYER:
        return None
    return f"model.layers.{layer}.{_IN_LAYER[part]}.{kind}"


def _write_weights(
    gguf: GgufFile, config: Mapping[str, Any], dtype: FloatType, folder: Path
) -> None:
    sources: dict[str, GgufTensor] = {}
    for tensor in gguf.tensors.values():
        if tensor.name in _NOT_WEIGHTS:
            continue
        name = hugging_face_name(tensor.name)
        if name is None:
            raise TensorMismatchError(
                f"{gguf.path}: tensor {tensor.name!r} has no place in a {config['model_type']}",
                remedy="convert from the original Hugging Face checkpoint",
            )
        sources[name] = tensor
    architecture = architecture_of(config)
    expected = architecture.parameters(architecture.parse(config))
    compare_tensors(str(gguf.path), {n: tensor.shape for n, tensor in sources.items()}, expected)
    interleaved = ("q_proj", "k_proj") if config["model_type"] == "llama" else ()

    def chunks(name: str) -> Iterator[Rows]:
        head_dim = config["head_dim"] if name.split(".")[-2] in interleaved else None
        return _chunks(gguf, sources[name], head_dim, dtype)

    entries = [Entry(name, tensor.shape, dtype) for name, tensor in sources.items()]
    write_checkpoint(folder, entries, chunks)


def _chunks(
    gguf: GgufFile, tensor: GgufTensor, head_dim: int | None, dtype: FloatType
) -> Iterator[Rows]:
    unit = head_dim or 1
    columns = int(np.prod(tensor.shape[1:], dtype=np.int64))
    step = max(unit, _CHUNK_ELEMENTS // columns // unit * unit)
    for start in range(0, tensor.shape[0], step):
        rows = gguf.read_rows(tensor, start, min(start + step, tensor.shape[0]))
        if head_dim:
            rows = halves_order(rows, head_dim)
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(rows.astype(dtype.numpy))
        if not all_finite(stored):
            raise NonFiniteWeightError(
                f"{gguf.path}: tensor {tensor.name!r} holds values that {dtype.value} cannot",
                found=f"NaN or infinity in rows {start} to {start + len(rows)}",
                remedy="import with dtype bf16 or f32, or download the file again",
            )
        yield stored


def halves_order(rows: Rows, head_dim: int) -> Rows:
    """Undo the row order of Q and K in llama-type GGUFs, for whole heads of rows.

    There, rows ``2i`` and ``2i + 1`` of a head rotate together; in a Hugging Face checkpoint
    rows ``i`` and ``i + head_dim / 2`` do.
    """
    pairs = rows.reshape(-1, head_dim // 2, 2, *rows.shape[1:])
    halves: Rows = pairs.swapaxes(1, 2).reshape(rows.shape)
    return halves


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
