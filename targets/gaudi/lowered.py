"""Static programs made on the spot from config.json, for an artifact without program files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from targets.gaudi.export import static_graph
from targets.gaudi.loaded import Programs, Step
from targets.gaudi.lower import StaticDecoder, cache_dtypes
from targets.ranks.shard import Shard

PROMPT_BUCKET = 64
"""Tokens of the program that a prompt goes through, padded at its end."""

CACHE_BUCKET = 256
"""The caches grow in steps of this many slots."""

_SLOTS_AXIS = 2


class LoweredPrograms(Programs):
    """Programs for whatever batch and length are asked for.

    Args:
        config: config.json.
        tensors: By name, in the dtype of the computation; not copied.
        largest_code: Largest magnitude of an FP8 code.
        shard: The rank whose part they compute; None for the whole model.
    """

    buckets = (1, PROMPT_BUCKET)

    def __init__(
        self,
        config: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        largest_code: float,
        shard: Shard | None = None,
    ) -> None:
        self._config, self._tensors, self._largest_code = config, tensors, largest_code
        self._shard = shard
        self.batch, self.context = 1, 0
        self.caches = {}
        self._decoders: dict[int, StaticDecoder] = {}

    def step(self, tokens: int) -> Step:
        decoder = self._decoders[tokens]

        def step(ids: Tensor, mask: Tensor, positions: Tensor, position: Tensor) -> Tensor:
            logits: Tensor = decoder(ids, mask, positions, position, self._tensors, self.caches)
            return logits

        return step

    def reserve(self, batch: int, tokens: int) -> None:
        tokens += PROMPT_BUCKET  # the last bucket of a prompt may be padded
        if batch == self.batch and tokens <= self.context:
            return
        older = self.caches if batch == self.batch else {}
        self.batch, self.context = batch, -(-tokens // CACHE_BUCKET) * CACHE_BUCKET
        self._decoders = {
            size: StaticDecoder(self._graph(size), self._tensors, self._largest_code)
            for size in self.buckets
        }
        decoder = self._decoders[1]
        dtypes = cache_dtypes(decoder, {name: self._tensors[name] for name in decoder.weights})
        self.caches = {
            name: torch.zeros(shape, dtype=dtypes[name]) for name, shape in decoder.caches.items()
        }
        for name, cache in older.items():
            slots = slice(cache.shape[_SLOTS_AXIS] if cache.dim() == 4 else None)
            self.caches[name][:, :, slots] = cache

    def _graph(self, tokens: int) -> Any:
        return static_graph(
            self._config,
            batch=self.batch,
            tokens=tokens,
            context=self.context,
            shard=self._shard,
        )
