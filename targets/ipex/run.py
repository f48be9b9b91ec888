"""Runs a checkpoint for PyTorch on Xeon in transformers, on the CPU at hand."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convert.errors import TricastError
from targets.generation_settings import longest_sequence, stop_ids
from targets.ipex.load import load_model
from targets.left_padding import Feed, LeftPaddedBatch
from targets.tokenized_runner import TokenizedRunner

Floats = NDArray[np.float32]


class IpexRunner(TokenizedRunner):
    """One sequence or a left-padded batch.

    Args:
        artifact: The folder.
        threads: Threads of torch.

    Raises:
        RunnerCrashedError: transformers refuses the artifact.
        UsageError: What the artifact's format needs is not installed.
    """

    def __init__(self, artifact: Path, *, threads: int) -> None:
        torch.set_num_threads(threads)
        self._model = load_model(artifact)
        super().__init__(artifact)
        self.stop_ids = stop_ids(artifact)
        self.context = longest_sequence(artifact)
        accepted = inspect.signature(self._model.forward).parameters
        self._takes_positions = "position_ids" in accepted
        self._batch: LeftPaddedBatch | None = None
        self.reset()

    def reset(self) -> None:
        self._cache: Any = None
        self._used = 0

    def feed(self, ids: Sequence[int]) -> Floats:
        total = self._used + len(ids)
        feed: Feed = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(self._used, total)[None],
        }
        self._used = total
        logits: Floats = self._run(feed)[0].float().numpy()
        return logits

    def begin(self, prompts: Sequence[Sequence[int]]) -> Floats:
        self.reset()
        self._batch = LeftPaddedBatch(prompts, int(self._model.config.vocab_size))
        return self._last(self._batch.prompts())

    def advance(self, tokens: Sequence[int]) -> Floats:
        if self._batch is None:
            raise TricastError("no batch was begun")
        return self._last([self._batch.tokens(tokens)])

    def _last(self, feeds: Iterable[Feed]) -> Floats:
        for feed in feeds:
            logits = self._run(feed)
        last: Floats = logits[:, -1].float().numpy()
        return last

    @torch.inference_mode()
    def _run(self, feed: Feed) -> torch.Tensor:
        """Append tokens; logits of all of them."""
        given = {name: torch.from_numpy(array) for name, array in feed.items()}
        if not self._takes_positions:
            del given["position_ids"]
        output = self._model(**given, past_key_values=self._cache, use_cache=True)
        self._cache = output.past_key_values
        logits: torch.Tensor = output.logits
        return logits
