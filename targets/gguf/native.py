"""llama.cpp through the low-level calls of llama-cpp-python: load, tokenize, be quiet."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convert.errors import RunnerCrashedError, UsageError


def llama_cpp() -> Any:
    """The module, its log silenced.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import llama_cpp as module
    except ImportError as error:
        raise UsageError(
            "llama.cpp is not installed",
            expected="the package llama-cpp-python",
            remedy="pip install 'tricast[arm]'",
        ) from error
    module.llama_log_set(_silent_callback(), ctypes.c_void_p(0))
    return module


def load_model(path: Path, *, vocab_only: bool = False) -> Any:
    """A llama.cpp model.

    Raises:
        RunnerCrashedError: llama.cpp refuses the file.
    """
    module = llama_cpp()
    _SAID.clear()
    module.llama_backend_init()
    parameters = module.llama_model_default_params()
    parameters.vocab_only = vocab_only
    # Weights stay mapped as they are in the file: repacking for a machine's matrix units copies
    # them, and ggml's AMX kernels crash on machines that announce AMX without allowing it.
    parameters.use_extra_bufts = False
    model = module.llama_model_load_from_file(str(path).encode(), parameters)
    if not model:
        raise RunnerCrashedError(
            f"llama.cpp refuses {path.name}",
            found=_complaint(),
            remedy="run llama-cli on it to see what it says",
        )
    return model


def tokenize(model: Any, text: str, *, add: bool = False, parse: bool = False) -> list[int]:
    """Ids of ``text``.

    Args:
        add: Put BOS and EOS around it if the model wants them.
        parse: Find special tokens in it.
    """
    module = llama_cpp()
    vocabulary = module.llama_model_get_vocab(model)
    data = text.encode()
    room = len(data) + 8
    ids = (module.llama_token * room)()
    count = module.llama_tokenize(vocabulary, data, len(data), ids, room, add, parse)
    if count < 0:
        raise RunnerCrashedError(f"llama.cpp cannot tokenize {text[:40]!r}")
    return list(ids[:count])


def prompt_ids(model: Any, text: str, *, rendered: bool = False) -> list[int]:
    """Ids of a prompt; see `targets.base.Runner.prompt_ids`."""
    module = llama_cpp()
    vocabulary = module.llama_model_get_vocab(model)
    ids = tokenize(model, text, add=not rendered, parse=True)
    ends = not rendered and bool(module.llama_vocab_get_add_eos(vocabulary)) and len(ids) > 1
    return ids[:-1] if ends else ids


def detokenize(model: Any, ids: Sequence[int]) -> str:
    """The text of ``ids``, special tokens left out; broken UTF-8 shows as U+FFFD."""
    module = llama_cpp()
    vocabulary = module.llama_model_get_vocab(model)
    tokens = (module.llama_token * len(ids))(*ids)
    room = 8 * len(ids) + 64
    while True:
        buffer = ctypes.create_string_buffer(room)
        size = module.llama_detokenize(vocabulary, tokens, len(ids), buffer, room, True, False)
        if size >= 0:
            return buffer.raw[:size].decode(errors="replace")
        room = -size


def stop_ids(model: Any) -> frozenset[int]:
    """The tokens that llama.cpp ends at: those the file names, and those it knows by their names.

    A file names only the ends that llama.cpp would not know, so these are all of them.
    """
    module = llama_cpp()
    vocabulary = module.llama_model_get_vocab(model)
    tokens = range(module.llama_vocab_n_tokens(vocabulary))
    return frozenset(token for token in tokens if module.llama_vocab_is_eog(vocabulary, token))


def _complaint() -> str | None:
    """The first error that llama.cpp has logged since it was asked to load a model."""
    return next((text for text in _SAID if text), None)


_SAID: list[str] = []
"""What llama.cpp has logged as errors."""

_MOST = 20


@functools.cache
def _silent_callback() -> Any:
    # Cached because llama.cpp calls it later: it must not be collected.
    import llama_cpp as module

    def keep(level: int, text: bytes, data: Any) -> None:
        if level == _ERROR and len(_SAID) < _MOST:
            _SAID.append(text.decode("utf-8", "replace").strip())

    return module.llama_log_callback(keep)


_ERROR = 4
"""``GGML_LOG_LEVEL_ERROR``."""
