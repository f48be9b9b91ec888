"""Runs an ONNX artifact in onnxruntime, the KV cache handed from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError
from targets.base import Message, Runner
from targets.hf_tokenizer import HfTokenizer
from targets.onnx.file_names import MODEL_FILE

PAST, PRESENT = "past_key_values", "present"


class OnnxRunner(Runner):
    """One sequence, batch 1, on the CPU.

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
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._tokenizer = HfTokenizer.load(artifact)
        self.reset()

    def reset(self) -> None:
        self._used = 0
        self._past: dict[str, NDArray[np.float32]] = {}
        for value in self._session.get_inputs():
            if value.name.startswith(PAST):
                axes = [axis if isinstance(axis, int) else 0 for axis in value.shape[1:]]
                self._past[value.name] = np.zeros((1, *axes), np.float32)

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        total = self._used + len(ids)
        feed = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(self._used, total, dtype=np.int64)[None],
            **self._past,
        }
        found = dict(zip(self._outputs, self._session.run(None, feed), strict=True))
        self._past = {name: found[name.replace(PAST, PRESENT)] for name in self._past}
        self._used = total
        logits: NDArray[np.float32] = found["logits"][0]
        return logits

    def tokenize(self, text: str) -> list[int] | None:
        return self._tokenizer.encode(text) if self._tokenizer else None

    def chat(self, messages: Sequence[Message]) -> str | None:
        return self._tokenizer.chat(messages) if self._tokenizer else None
