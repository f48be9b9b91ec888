"""Runs an ONNX artifact in onnxruntime, the KV cache handed from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError
from targets.generation_settings import longest_sequence, stop_ids
from targets.left_padding import Feed, LeftPaddedBatch
from targets.onnx.file_names import MODEL_FILE
from targets.tokenized_runner import TokenizedRunner

PAST, PRESENT = "past_key_values", "present"


class OnnxRunner(TokenizedRunner):
    """One sequence or a left-padded batch, on the CPU.

    Args:
        artifact: The folder.
        threads: Threads of onnxruntime.

    Raises:
        RunnerCrashedError: onnxruntime refuses the model.
    """

    def __init__(self, artifact: Path, *, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Without it weights are decoded again at every step, and 8-bit ones meet activations
        # that onnxruntime quantizes: neither is the graph as it was written.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(artifact / MODEL_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise RunnerCrashedError("onnxruntime refuses the model", found=str(error)) from error
        shapes = {output.name: output.shape for output in self._session.get_outputs()}
        self._outputs = list(shapes)
        self._vocab = int(shapes["logits"][-1])
        super().__init__(artifact)
        self.stop_ids = stop_ids(artifact)
        self.context = longest_sequence(artifact)
        self.reset()

    def reset(self) -> None:
        self._start(1)
        self._used = 0

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        total = self._used + len(ids)
        logits = self._run(
            {
                "input_ids": np.array([ids], np.int64),
                "attention_mask": np.ones((1, total), np.int64),
                "position_ids": np.arange(self._used, total, dtype=np.int64)[None],
            }
        )
        self._used = total
        row: NDArray[np.float32] = logits[0]
        return row

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self._start(len(prompts))
        self._batch = LeftPaddedBatch(prompts, self._vocab)
        for feed in self._batch.prompts():
            logits = self._run(feed)
        return logits[:, -1]

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self._run(self._batch.tokens(tokens))[:, -1]

    def feed_batch(
        self,
        input_ids: NDArray[np.int64],
        *,
        attention_mask: NDArray[np.int64],
        position_ids: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Append tokens to a batch of sequences; a mask of their length begins a new one.

        Args:
            input_ids: ``[B, S]``.
            attention_mask: ``[B, total]``, past and new tokens; 0 is padding.
            position_ids: ``[B, S]``.

        Returns:
            Logits ``[B, S, vocab]``.
        """
        if attention_mask.shape == input_ids.shape:
            self._start(len(input_ids))
        return self._run(
            Feed(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)
        )

    def _start(self, batch: int) -> None:
        """Forget everything, and expect so many sequences."""
        self._past: dict[str, NDArray[np.float32]] = {}
        for value in self._session.get_inputs():
            if value.name.startswith(PAST):
                axes = [axis if isinstance(axis, int) else 0 for axis in value.shape[1:]]
                self._past[value.name] = np.zeros((batch, *axes), np.float32)

    def _run(self, feed: Feed) -> NDArray[np.float32]:
        """Append tokens ``[B, S]``; logits ``[B, S, vocab]``."""
        values = self._session.run(None, {**feed, **self._past})
        found = dict(zip(self._outputs, values, strict=True))
        self._past = {name: found[name.replace(PAST, PRESENT)] for name in self._past}
        logits: NDArray[np.float32] = found["logits"]
        return logits
