"""Feeds a graph with a KV cache piece by piece, as a runtime would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from passes.cache_form import FORM
from tests.support.models import position_ids
from tests.support.ort import Array, OrtGraph


def cache_inputs(model: ir.Model, batch: int, length: int, fill: float = 0.0) -> dict[str, Array]:
    """What a graph with a cache remembers at the start, by input name.

    Args:
        model: The graph.
        batch: Sequences.
        length: Slots for keys and values.
        fill: What keys and values are full of; other states begin with zeros.
    """
    caches = {}
    for value in model.graph.inputs:
        if not value.name.startswith("past_key_values."):
            continue
        keys_or_values = value.name.endswith((".key", ".value"))
        axes = [axis if isinstance(axis, int) else length for axis in value.shape]
        caches[value.name] = np.full(
            (batch, *axes[1:]), fill if keys_or_values else 0.0, np.float32
        )
    return caches


def step(
    graph: OrtGraph, cache: dict[str, Array], **feed: Array
) -> tuple[NDArray[np.float32], dict[str, Array]]:
    """One run: logits, and the cache to go on with."""
    outputs = graph(**feed, **cache)
    logits = outputs.pop("logits")
    return logits, {name.replace("present", "past_key_values"): y for name, y in outputs.items()}


def growing(
    model: ir.Model,
    ids: NDArray[np.int64],
    mask: NDArray[np.int64],
    pieces: Sequence[int],
) -> NDArray[np.float32]:
    """Logits of ``ids``, fed in ``pieces`` to a graph with a dynamic or stateful cache."""
    batch = len(ids)
    graph, cache, logits, end = OrtGraph(model), cache_inputs(model, batch, 0), [], 0
    beams = {"beam_idx": np.arange(batch, dtype=np.int32)}
    for size in pieces:
        start, end = end, end + size
        piece, cache = step(
            graph,
            cache,
            input_ids=ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=position_ids(mask)[:, start:end],
            **(beams if model.metadata_props[FORM] == "stateful" else {}),
        )
        logits.append(piece)
    return np.concatenate(logits, axis=1)


def fixed(
    prefill: ir.Model,
    decode: ir.Model,
    ids: NDArray[np.int64],
    mask: NDArray[np.int64],
    prompt: int,
) -> NDArray[np.float32]:
    """Logits of ``ids``: the prompt, padded on the right to the prefill graph's bucket, then
    token by token through the decoding graph. The cache starts out full of rubbish.
    """
    batch, total = ids.shape
    bucket = int(prefill.graph.inputs[0].shape[1])
    length = int(prefill.graph.inputs[1].shape[1])
    cache, logits = cache_inputs(decode, batch, length, fill=1e3), []
    pieces = [(OrtGraph(prefill), 0, prompt, bucket)]
    one_token = OrtGraph(decode)
    pieces += [(one_token, start, start + 1, 1) for start in range(prompt, total)]
    for graph, start, end, size in pieces:
        padding = ((0, 0), (0, size - (end - start)))
        piece, cache = step(
            graph,
            cache,
            input_ids=np.pad(ids[:, start:end], padding),
            attention_mask=np.pad(mask[:, :end], ((0, 0), (0, length - end))),
            position_ids=np.pad(position_ids(mask)[:, start:end], padding),
            cache_position=np.array([start], np.int64),
        )
        logits.append(piece[:, : end - start])
    return np.concatenate(logits, axis=1)
