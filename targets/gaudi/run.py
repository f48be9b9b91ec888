"""Runs a Gaudi artifact without a card: its own static programs, in torch on the CPU.

`decode.pt2` and `prefill-*.pt2` are what a card would capture. An artifact without them is weights
and config.json: the same programs are made from that config then, and not exported.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convert.errors import RunnerCrashedError, TricastError
from targets.gaudi.fp8 import CODES
from targets.gaudi.loaded import FilePrograms, Programs
from targets.gaudi.lowered import LoweredPrograms
from targets.gaudi.programs import DECODE_FILE
from targets.gaudi.scales import largest_code
from targets.gaudi.stored_tensors import mapped_tensors
from targets.generation_settings import longest_sequence, stop_ids
from targets.ranks.shard import Shard
from targets.tokenized_runner import TokenizedRunner

Floats = NDArray[np.float32]


class GaudiRunner(TokenizedRunner):
    """One sequence or a left-padded batch, on the CPU.

    Args:
        artifact: The folder.
        threads: Threads of torch.
        dtype: What to compute in; None for the artifact's own, by its own programs.
        shard: The rank that the folder is of; None for a whole model.

    Raises:
        RunnerCrashedError: The folder is no checkpoint that can be lowered, or its programs are
            not for its weights.
    """

    def __init__(
        self,
        artifact: Path,
        *,
        threads: int,
        dtype: torch.dtype | None = None,
        shard: Shard | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        self._programs = _programs(artifact, dtype, shard)
        super().__init__(artifact)
        self.stop_ids = stop_ids(artifact)
        self.context = longest_sequence(artifact)
        if isinstance(self._programs, FilePrograms):
            self.context = self._programs.context
        self._start([0])

    def reset(self) -> None:
        self._start([0])

    def feed(self, ids: Sequence[int]) -> Floats:
        self._programs.reserve(1, self._used + len(ids))
        logits = self._run(torch.tensor([list(ids)]))
        return np.concatenate([part[0].float().numpy() for part in logits])

    def begin(self, prompts: Sequence[Sequence[int]]) -> Floats:
        longest = max(map(len, prompts))
        self._programs.reserve(len(prompts), longest)
        self._start([longest - len(prompt) for prompt in prompts])
        padded = [[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
        return self._last(torch.tensor(padded))

    def advance(self, tokens: Sequence[int]) -> Floats:
        self._programs.reserve(len(tokens), self._used + 1)
        return self._last(torch.tensor([[token] for token in tokens]))

    def _start(self, padding: Sequence[int]) -> None:
        """Forget everything; each sequence will begin after some slots of padding."""
        self._used = 0
        self._programs.forget()
        self._padding = torch.tensor(padding)[:, None]

    def _last(self, ids: Tensor) -> Floats:
        *_, logits = self._run(ids)
        last: Floats = logits[:, -1].float().numpy()
        return last

    @torch.inference_mode()
    def _run(self, ids: Tensor) -> list[Tensor]:
        """Append tokens ``[sequences, n]``: logits of some of them after those of others."""
        logits, done = [], 0
        while done < ids.shape[1]:
            bucket = self._bucket(ids.shape[1] - done)
            part = ids[:, done : done + bucket]
            logits.append(self._step(part, bucket))
            done += part.shape[1]
        return logits

    def _bucket(self, tokens: int) -> int:
        """The smallest that holds so many tokens, or the largest; its padding has to fit too."""
        fitting = [
            size for size in self._programs.buckets if self._used + size <= self._programs.context
        ]
        return next((size for size in fitting if size >= tokens), fitting[-1])

    def _step(self, ids: Tensor, bucket: int) -> Tensor:
        """Feed at most a bucket; padding at its end writes slots that no one attends to yet."""
        sequences, tokens = ids.shape
        rows = self._programs.batch
        padded = torch.zeros((rows, bucket), dtype=torch.int64)
        padded[:sequences, :tokens] = ids
        padding = torch.zeros((rows, 1), dtype=torch.int64)
        padding[:sequences] = self._padding
        slots = torch.arange(self._programs.context)
        kept = (slots >= padding) & (slots < self._used + tokens)
        position = torch.tensor([self._used])
        positions = (position + torch.arange(bucket) - padding).clamp_min(0)
        logits = self._programs.step(bucket)(padded, kept.to(torch.int64), positions, position)
        self._used += tokens
        return logits[:sequences, :tokens]


def _programs(artifact: Path, dtype: torch.dtype | None, shard: Shard | None) -> Programs:
    from safetensors import SafetensorError

    try:
        config = json.loads((artifact / "config.json").read_text(encoding="utf-8"))
        tensors = mapped_tensors(artifact)
        if dtype is None and (artifact / DECODE_FILE).is_file():
            return FilePrograms(artifact, tensors)
        computed = tensors if dtype is None else _cast(tensors, dtype)
        programs = LoweredPrograms(config, computed, largest_code(config), shard)
        programs.reserve(1, 1)
    except RunnerCrashedError:
        raise
    except (OSError, ValueError, SafetensorError, TricastError) as error:
        raise RunnerCrashedError("the Gaudi artifact cannot be read", found=str(error)) from error
    return programs


def _cast(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Any]:
    """All but FP8 codes and the scales beside them in another dtype."""
    return {
        name: tensor if tensor.dtype is CODES or name.endswith("_scale") else tensor.to(dtype)
        for name, tensor in tensors.items()
    }
