"""Runs a GGUF in llama.cpp, on the CPU, memory-mapped, with llama.cpp's own defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError
from targets.base import Message, Runner
from targets.gguf.known_differences import known_difference
from targets.gguf.native import llama_cpp, load_model, tokenize

LONGEST_CONTEXT = 4096
_BATCH = 512


class GgufRunner(Runner):
    """One sequence in llama.cpp. The KV cache is float16 unless asked otherwise, as for users.

    Args:
        path: The GGUF.
        threads: Threads that compute.
        context: Tokens that fit; None for the model's own, at most `LONGEST_CONTEXT`.
        exact_cache: Keep keys and values in float32 and attend without the fused kernel, to
            compare weights alone.

    Raises:
        RunnerCrashedError: llama.cpp refuses the file.
        UsageError: llama.cpp is not installed.
    """

    def __init__(
        self, path: Path, *, threads: int, context: int | None = None, exact_cache: bool = False
    ) -> None:
        self._llama = llama_cpp()
        self._model = load_model(path)
        self._vocabulary = self._llama.llama_model_get_vocab(self._model)
        self._vocab = int(self._llama.llama_vocab_n_tokens(self._vocabulary))
        trained = int(self._llama.llama_model_n_ctx_train(self._model))
        self.context = context or min(trained, LONGEST_CONTEXT)
        self._context = self._llama.llama_init_from_model(
            self._model, self._parameters(threads, exact_cache)
        )
        if not self._context:
            raise RunnerCrashedError(f"llama.cpp loads {path.name} but cannot prepare to run it")
        self._batch = self._llama.llama_batch_init(_BATCH, 0, 1)
        self._length = 0

    def _parameters(self, threads: int, exact_cache: bool) -> Any:
        parameters = self._llama.llama_context_default_params()
        parameters.n_ctx = self.context
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.n_threads = parameters.n_threads_batch = threads
        if exact_cache:
            parameters.type_k = parameters.type_v = self._llama.GGML_TYPE_F32
            parameters.flash_attn_type = self._llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return parameters

    def reset(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)
        self._length = 0

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        parts = [self._decode(ids[at : at + _BATCH]) for at in range(0, len(ids), _BATCH)]
        return np.concatenate(parts)

    def _decode(self, ids: Sequence[int]) -> NDArray[np.float32]:
        if self._length + len(ids) > self.context:
            raise RunnerCrashedError(
                "the text is longer than the context of the model in llama.cpp",
                expected=f"at most {self.context} tokens",
                found=f"{self._length + len(ids)} tokens",
                remedy="give shorter prompts with --prompts, or a --golden of shorter ones",
            )
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i] = token
            batch.pos[i] = self._length + i
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = True
        status = self._llama.llama_decode(self._context, batch)
        if status != 0:
            raise RunnerCrashedError(f"llama.cpp cannot decode: status {status}")
        self._length += len(ids)
        logits = self._llama.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, (len(ids), self._vocab)).astype(np.float32)

    def tokenize(self, text: str) -> list[int]:
        return tokenize(self._model, text)

    def known_difference(self, text: str, tokenizer: Mapping[str, Any]) -> str | None:
        return known_difference(text, tokenizer)

    def chat(self, messages: Sequence[Message]) -> str | None:
        template = self._llama.llama_model_chat_template(self._model, None)
        if not template:
            return None
        from transformers.utils.chat_template_utils import render_jinja_template

        rendered = render_jinja_template(
            [[dict(message) for message in messages]],
            chat_template=template.decode(),
            add_generation_prompt=True,
            **self._special_tokens(),
        )
        return str(rendered[0][0])

    def _special_tokens(self) -> dict[str, str]:
        ids = {
            "bos_token": self._llama.llama_vocab_bos(self._vocabulary),
            "eos_token": self._llama.llama_vocab_eos(self._vocabulary),
            "pad_token": self._llama.llama_vocab_pad(self._vocabulary),
        }
        return {
            name: self._llama.llama_vocab_get_text(self._vocabulary, token).decode()
            for name, token in ids.items()
            if token >= 0
        }

    def close(self) -> None:
        if self._context:
            self._llama.llama_batch_free(self._batch)
            self._llama.llama_free(self._context)
            self._llama.llama_model_free(self._model)
            self._context = None
