"""A finished IR in the CPU plugin: tokens in, logits out, the cache kept as state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError
from targets.generation_settings import longest_sequence, stop_ids
from targets.left_padding import LeftPaddedBatch
from targets.openvino.tokenizing import TokenizingRunner

EXACT = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0",
}
"""Overrides that leave float32 arithmetic throughout, for comparing graphs."""


class OpenVinoRunner(TokenizingRunner):
    """One sequence, or a left-padded batch; `feed_batch` takes batches of any form.

    Args:
        artifact: Folder with ``openvino_model.xml``.
        threads: CPU threads.
        overrides: Runtime options that replace those the artifact carries.
        extensions: Operators that the IR needs beside the runtime's own.

    Raises:
        RunnerCrashedError: The runtime refuses the artifact.
    """

    def __init__(
        self,
        artifact: Path,
        *,
        threads: int,
        overrides: Mapping[str, str] | None = None,
        extensions: Sequence[type[openvino.Op]] = (),
    ) -> None:
        super().__init__(artifact)
        # With one thread the plugin's fused MLP for AMX divides by zero (2026.4.1, bf16 weights).
        options = {"INFERENCE_NUM_THREADS": str(max(threads, 2)), **(overrides or {})}
        try:
            core = openvino.Core()
            for operator in extensions:
                core.add_extension(operator)
            model = core.read_model(artifact / "openvino_model.xml")
            self.compiled = core.compile_model(model, "CPU", options)
            self._request = self.compiled.create_infer_request()
        except RuntimeError as error:
            raise _crashed(error) from error
        self._vocab = int(self.compiled.output("logits").get_partial_shape()[-1].get_length())
        self.stop_ids = stop_ids(artifact)
        self.context = longest_sequence(artifact)
        self._past = 0

    def reset(self) -> None:
        self._request.reset_state()
        self._past = 0

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        total = self._past + len(ids)
        logits = self.feed_batch(
            np.array([ids], np.int64),
            attention_mask=np.ones((1, total), np.int64),
            position_ids=np.arange(self._past, total)[None],
        )
        self._past = total
        row: NDArray[np.float32] = logits[0]
        return row

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self.reset()
        self._batch = LeftPaddedBatch(prompts, self._vocab)
        for feed in self._batch.prompts():
            logits = self.feed_batch(**feed)
        return logits[:, -1]

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self.feed_batch(**self._batch.tokens(tokens))[:, -1]

    def feed_batch(
        self,
        input_ids: NDArray[np.int64],
        *,
        attention_mask: NDArray[np.int64],
        position_ids: NDArray[np.int64],
        beam_idx: Sequence[int] | None = None,
    ) -> NDArray[np.float32]:
        """Append tokens to a batch of sequences.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, total]``, past and new tokens; 0 is padding.
            position_ids: ``[B, S]``.
            beam_idx: Which sequence of the cache each row continues; None for its own.

        Returns:
            Logits ``[B, S, vocab]``.
        """
        beams = np.arange(len(input_ids)) if beam_idx is None else np.array(beam_idx)
        feeds = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "beam_idx": beams.astype(np.int32),
        }
        try:
            logits = self._request.infer(feeds)["logits"]
        except RuntimeError as error:
            raise _crashed(error) from error
        return np.array(logits, np.float32)

    def time_by_kind(self) -> Mapping[str, int]:
        from targets.openvino.profile import time_by_kind

        return time_by_kind(self.operators())

    def operators(self) -> list[Any]:
        """The times of the last inference, operator by operator: see `targets.openvino.profile`."""
        return list(self._request.get_profiling_info())


def _crashed(error: RuntimeError) -> RunnerCrashedError:
    lines = str(error).strip().splitlines()
    return RunnerCrashedError("OpenVINO refuses the artifact", found=lines[-1] if lines else None)
