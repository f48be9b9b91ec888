"""Runs a Gaudi artifact without a card: its static decode graph in torch, in bf16.

The artifact is weights and config.json; the graph is built again from that config, rewritten
into the static cache form and lowered to torch, as a graph capture on a card would see it: one
graph for a bucket of prompt tokens and one for a single token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.architectures import architecture_of
from convert.architectures.base import Architecture, DecoderConfig
from convert.errors import RunnerCrashedError
from convert.weights import ArrayWeight, Weight
from passes.kv_cache import StaticCache
from targets.base import Message, Runner
from targets.gaudi.lower import CACHE_PREFIX, StaticDecoder
from targets.hf_tokenizer import HfTokenizer

PROMPT_BUCKET = 64
"""Tokens of the graph that a prompt goes through, padded at its end."""

CACHE_BUCKET = 256
"""The cache grows in steps of this many tokens."""


class GaudiRunner(Runner):
    """One sequence, batch 1.

    Args:
        artifact: The folder.
        threads: Threads of torch.
        dtype: Of weights and activations; bfloat16 is what a card computes in.

    Raises:
        RunnerCrashedError: The folder is no checkpoint that can be lowered.
    """

    def __init__(
        self, artifact: Path, *, threads: int, dtype: torch.dtype = torch.bfloat16
    ) -> None:
        from safetensors import SafetensorError

        torch.set_num_threads(threads)
        try:
            raw_config = json.loads((artifact / "config.json").read_text(encoding="utf-8"))
            self._architecture: Architecture = architecture_of(raw_config)
            self._config: DecoderConfig = self._architecture.parse(raw_config)
            self._stored = _load(artifact)
        except (OSError, ValueError, SafetensorError) as error:
            raise RunnerCrashedError(
                "the Gaudi artifact cannot be read", found=str(error)
            ) from error
        self._weights = {name: tensor.to(dtype) for name, tensor in self._stored.items()}
        self._dtype = dtype
        self._tokenizer = HfTokenizer.load(artifact)
        self._used = 0
        self._capacity = 0
        self._caches: dict[str, Tensor] = {}
        self._graphs: dict[int, StaticDecoder] = {}

    def reset(self) -> None:
        self._used = 0

    @torch.inference_mode()
    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        self._reserve(self._used + len(ids) + PROMPT_BUCKET)
        starts = range(0, len(ids), PROMPT_BUCKET)
        return np.concatenate([self._step(ids[at : at + PROMPT_BUCKET]) for at in starts])

    def tokenize(self, text: str) -> list[int] | None:
        return self._tokenizer.encode(text) if self._tokenizer else None

    def chat(self, messages: Sequence[Message]) -> str | None:
        return self._tokenizer.chat(messages) if self._tokenizer else None

    def _step(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Feed at most a bucket; padding at the end writes slots that no one attends to yet."""
        tokens = 1 if len(ids) == 1 else PROMPT_BUCKET
        padded = torch.zeros((1, tokens), dtype=torch.int64)
        padded[0, : len(ids)] = torch.tensor(ids)
        position = torch.tensor([self._used])
        kept = torch.arange(self._capacity) < self._used + len(ids)
        logits: Tensor = self._graphs[tokens](
            padded,
            kept.to(torch.int64).unsqueeze(0),
            (position + torch.arange(tokens)).unsqueeze(0),
            position,
        )
        self._used += len(ids)
        return logits[0, : len(ids)].float().numpy()

    def _reserve(self, tokens: int) -> None:
        """Make the cache hold at least ``tokens`` tokens, keeping what it holds."""
        if tokens <= self._capacity:
            return
        self._capacity = -(-tokens // CACHE_BUCKET) * CACHE_BUCKET
        older, self._caches, self._graphs = self._caches, {}, {}
        for count in (1, PROMPT_BUCKET):
            self._graphs[count] = self._lower(count, older)

    def _lower(self, tokens: int, older: Mapping[str, Tensor]) -> StaticDecoder:
        graph = self._architecture.build(self._config, _as_weights(self._stored))
        StaticCache(batch=1, tokens=tokens, length=self._capacity)(graph)
        for value in graph.graph.inputs:
            name = value.name or ""
            if name.startswith(CACHE_PREFIX) and name not in self._caches and value.shape:
                cache = torch.zeros(tuple(value.shape.numpy()), dtype=self._dtype)
                if name in older:
                    cache[:, :, : older[name].shape[2]] = older[name]
                self._caches[name] = cache
        return StaticDecoder(graph, self._weights, self._caches)


def _load(artifact: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in sorted(artifact.glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def _as_weights(tensors: Mapping[str, Tensor]) -> dict[str, Weight]:
    """What the graph needs to know of the weights; no bytes are copied."""
    return {name: ArrayWeight(name, _as_bf16(tensor)) for name, tensor in tensors.items()}


def _as_bf16(tensor: Tensor) -> NDArray[Any]:
    bits = tensor.to(torch.bfloat16).view(torch.uint16).numpy()
    return bits.view(ml_dtypes.bfloat16)
