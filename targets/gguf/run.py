"""Runs a GGUF in llama.cpp, on the CPU, memory-mapped, with llama.cpp's own defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from convert.errors import RunnerCrashedError, UnsupportedError
from targets.base import Message, Runner
from targets.gguf.known_differences import known_difference
from targets.gguf.native import (
    detokenize,
    llama_cpp,
    load_model,
    prompt_ids,
    stop_ids,
    tokenize,
)

LONGEST_CONTEXT = 4096
"""Tokens of a sequence for which a cache is made unasked."""

_BATCH = 512
_CELLS = 256
"""Caches are made of so many tokens, or a multiple."""


class GgufRunner(Runner):
    """Sequences in llama.cpp. The KV cache is float16 unless asked otherwise, as for users.

    Args:
        path: The GGUF.
        threads: Threads that compute.
        context: Tokens that fit; None for the model's own.
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
        self.context: int = context or trained
        self.stop_ids = stop_ids(self._model)
        self._threads, self._exact_cache = threads, exact_cache
        self._room = min(self.context, LONGEST_CONTEXT)
        self._context: Any = None
        self._made = (0, 0)
        self._batch = self._llama.llama_batch_init(_BATCH, 0, 1)
        self._make(1)

    def _make(self, sequences: int) -> None:
        """Forget everything, and have a cache of ``_room`` tokens for each of the sequences."""
        if self._made == (sequences, self._room):
            memory = self._llama.llama_get_memory(self._context)
            self._llama.llama_memory_clear(memory, True)
            self._lengths = [0] * sequences
            return
        most = int(self._llama.llama_max_parallel_sequences())
        if sequences > most:
            raise UnsupportedError(
                "llama.cpp cannot hold so many sequences at once",
                expected=f"a batch of at most {most}",
                found=f"a batch of {sequences}",
                remedy="use a smaller --batch",
            )
        self._free()
        self._context = self._llama.llama_init_from_model(self._model, self._parameters(sequences))
        if not self._context:
            raise RunnerCrashedError(
                "llama.cpp cannot make a cache",
                found=f"{sequences} sequences of {self._room} tokens",
                remedy="use a smaller --batch or shorter texts",
            )
        self._made = (sequences, self._room)
        self._lengths = [0] * sequences

    def _free(self) -> None:
        if self._context:
            self._llama.llama_free(self._context)
        self._made, self._context = (0, 0), None

    def _parameters(self, sequences: int) -> Any:
        parameters = self._llama.llama_context_default_params()
        # llama.cpp divides the cache among the sequences, each a multiple of its own unit.
        each = self._room if sequences == 1 else -(-self._room // _CELLS) * _CELLS
        parameters.n_ctx = sequences * each
        parameters.n_seq_max = sequences
        parameters.n_batch = parameters.n_ubatch = _BATCH
        parameters.n_threads = parameters.n_threads_batch = self._threads
        if self._exact_cache:
            parameters.type_k = parameters.type_v = self._llama.GGML_TYPE_F32
            parameters.flash_attn_type = self._llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return parameters

    def reset(self) -> None:
        self._make(1)

    def reserve(self, tokens: int) -> None:
        self._room = min(tokens, self.context)

    def feed(self, ids: Sequence[int]) -> NDArray[np.float32]:
        return self._append([ids], every=True)

    def begin(self, prompts: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        self._make(len(prompts))
        return self._append(prompts, every=False)

    def advance(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self._append([[token] for token in tokens], every=False)

    def _append(self, texts: Sequence[Sequence[int]], *, every: bool) -> NDArray[np.float32]:
        """Append to each sequence; logits after every token, or after the last of each."""
        entries = []
        for sequence, ids in enumerate(texts):
            start = self._lengths[sequence]
            self._require_room(start + len(ids))
            self._lengths[sequence] += len(ids)
            last = len(ids) - 1
            entries += [
                _Entry(token, start + i, sequence, wanted=every or i == last)
                for i, token in enumerate(ids)
            ]
        parts = [self._decode(entries[at : at + _BATCH]) for at in range(0, len(entries), _BATCH)]
        return np.concatenate(parts)

    def _require_room(self, tokens: int) -> None:
        if tokens > self._room:
            raise RunnerCrashedError(
                "the text is longer than the context of the model in llama.cpp",
                expected=f"at most {self._room} tokens",
                found=f"{tokens} tokens",
                remedy="give shorter prompts with --prompts, or a --golden of shorter ones",
            )

    def _decode(self, entries: Sequence[_Entry]) -> NDArray[np.float32]:
        """The logits of those that are wanted, in order."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for i, entry in enumerate(entries):
            batch.token[i] = entry.token
            batch.pos[i] = entry.position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = entry.sequence
            batch.logits[i] = entry.wanted
        status = self._llama.llama_decode(self._context, batch)
        if status != 0:
            raise RunnerCrashedError(f"llama.cpp cannot decode: status {status}")
        wanted = sum(entry.wanted for entry in entries)
        if not wanted:
            return np.empty((0, self._vocab), np.float32)
        logits = self._llama.llama_get_logits(self._context)
        return np.ctypeslib.as_array(logits, (wanted, self._vocab)).astype(np.float32)

    def tokenize(self, text: str) -> list[int]:
        return tokenize(self._model, text)

    def prompt_ids(self, text: str, *, rendered: bool = False) -> list[int]:
        return prompt_ids(self._model, text, rendered=rendered)

    def detokenize(self, ids: Sequence[int]) -> str:
        return detokenize(self._model, ids)

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
        if self._model:
            self._free()
            self._llama.llama_batch_free(self._batch)
            self._llama.llama_model_free(self._model)
            self._model = None


class _Entry(NamedTuple):
    """A token on its way into llama.cpp, and whether logits are wanted after it."""

    token: int
    position: int
    sequence: int
    wanted: bool
