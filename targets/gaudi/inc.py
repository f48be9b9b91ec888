"""What neural-compressor needs to quantize a BF16 checkpoint to FP8 at load, without measuring.

Beside the checkpoint, in the folder `FOLDER`: ``quant_config.json``, which ``QUANT_CONFIG`` names,
and the three files that a measuring run would have left. The formats are those of
neural-compressor 3.10 (torch/algorithms/fp8_quant, ``_core/save_measure/save_files.py``,
``_core/common.py``, ``_quant_common/quant_config.py``); the modules' names are optimum-habana's,
which are the checkpoint's, and for attention those that it adds to transformers' classes.

Scales are not stored: neural-compressor makes them on the card, by the range that the card has.
vLLM joins layers and has attention modules of its own, whose measurements do not follow from
these: it needs its own measuring run, or a checkpoint that is FP8 already.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import DecoderConfig
from passes.calibration.observations import Observations
from targets.base import OutputFile

FOLDER = "inc"
QUANT_CONFIG = f"{FOLDER}/quant_config.json"

_MEASURE = "measure"
_HEADS = ("lm_head", "embed_tokens", "word_embeddings")
_CACHES = ("k_cache", "v_cache")
_MODULAR_ATTENTION = {
    "llama": "model.layers.{}.self_attn",
    "mistral": "model.layers.{}.self_attn",
    "qwen2": "model.layers.{}.self_attn",
    "qwen3": "model.layers.{}.self_attn",
}
"""Families whose attention optimum-habana splits into modules that can be quantized, and what
it is called; BLOOM's calls torch's own functions, so that only its linear layers can be."""

_LARGEST_PROBABILITY = 1.0
"""The first token attends to itself alone."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip archive can hold."""

Node = dict[str, Any]
"""Largest magnitudes of a module: ``inputs``, and ``params`` or ``outputs`` if it has any."""


def inc_files(
    observations: Observations, config: DecoderConfig, *, fp8_cache: bool
) -> tuple[OutputFile, ...]:
    """The configuration and the measurements, for one card or several.

    Args:
        observations: Of the float model.
        fp8_cache: Whether keys and values are cached in FP8, too.
    """
    nodes = measured_modules(observations, config)
    base = f"{FOLDER}/{_MEASURE}_hooks_maxabs"
    measured = _measurement(nodes)
    as_lists = json.dumps(measured, indent=4, default=lambda array: array.tolist())
    return (
        OutputFile.whole(QUANT_CONFIG, _json(quant_config(fp8_cache=fp8_cache))),
        OutputFile.whole(f"{base}.json", as_lists.encode()),
        OutputFile.whole(f"{base}.npz", archived(measured)),
        OutputFile.whole(f"{base}_mod_list.json", _json(list(nodes))),
    )


def inc_note(config: DecoderConfig, *, fp8_cache: bool) -> str:
    """What the files are for, and what they cover."""
    covered = "linear layers"
    if config.family in _MODULAR_ATTENTION:
        covered = "linear layers, attention and KV cache" if fp8_cache else f"{covered}, attention"
    return (
        f"{QUANT_CONFIG} quantizes the {covered} of optimum-habana to FP8 at load (QUANT_CONFIG; "
        "start in this folder); vLLM needs a measuring run of its own. Unverified on Gaudi"
    )


def quant_config(*, fp8_cache: bool) -> dict[str, Any]:
    """``QUANT_CONFIG``: static per-tensor scales that the card applies without a multiplication.

    ``dump_stats_path`` is relative to the folder of the checkpoint, in which the program starts.
    """
    return {
        "method": "HOOKS",
        "mode": "QUANTIZE",
        "observer": "maxabs",
        "scale_method": "maxabs_hw",
        "fp8_config": "E4M3",
        "allowlist": {"types": [], "names": []},
        "blocklist": {"types": [], "names": ["lm_head", *(() if fp8_cache else _CACHES)]},
        "dump_stats_path": f"./{FOLDER}/{_MEASURE}",
        # One file for all cards: what is largest in the model is so in each card's part of it.
        "seperate_measure_files": False,
    }


def measured_modules(observations: Observations, config: DecoderConfig) -> dict[str, Node]:
    """Largest magnitudes by module: of linear layers, and of attention where it has modules."""
    nodes: dict[str, Node] = {}
    for name, largest in observations.inputs.items():
        module = name.removesuffix(".weight")
        if module.rpartition(".")[2] not in _HEADS:
            weight = observations.weights[name]
            nodes[module] = _node(largest, params={"weight": _rounded(weight)})
    scope = _MODULAR_ATTENTION.get(config.family)
    for layer in observations.keys if scope else ():
        assert scope is not None
        nodes |= _attention(observations, scope.format(layer), layer)
    return nodes


def archived(content: Mapping[str, Any]) -> bytes:
    """``numpy.savez`` of one dictionary: pickled under ``arr_0``, the same bytes every time."""
    array = io.BytesIO()
    np.lib.format.write_array(array, np.array(dict(content), dtype=object), allow_pickle=True)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr(zipfile.ZipInfo("arr_0.npy", _EPOCH), array.getvalue())
    return archive.getvalue()


def _attention(observations: Observations, scope: str, layer: int) -> dict[str, Node]:
    queries, keys = observations.queries[layer], observations.keys[layer]
    values, mixed = observations.values[layer], observations.inputs[f"{scope}.o_proj.weight"]
    probability = _LARGEST_PROBABILITY
    fused = _node(queries, keys, values, outputs=[_rounded(mixed), _rounded(probability)])
    return {
        f"{scope}.matmul_qk": _node(queries, keys),
        f"{scope}.matmul_av": _node(probability, values),
        f"{scope}.k_cache": _node(keys),
        f"{scope}.v_cache": _node(values),
        f"{scope}.fused_scaled_dot_product_attention": fused,
    }


def _node(*inputs: float, **others: Any) -> Node:
    return {"inputs": [_rounded(largest) for largest in inputs], **others}


def _measurement(nodes: Mapping[str, Node]) -> dict[str, Any]:
    return {
        "GlobalRank": None,
        "LocalRank": None,
        "Mode": "DynamicRange",
        "Nodes": dict(nodes),
    }


def _rounded(largest: float) -> NDArray[np.float32]:
    """A magnitude as it is measured: in bfloat16, kept as float32 ``[1, 1]``."""
    return np.full((1, 1), largest, ml_dtypes.bfloat16).astype(np.float32)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=4) + "\n").encode()
