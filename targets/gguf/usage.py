"""How a GGUF is run: llama.cpp and what is built on it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from targets.gguf.file_names import FILE, is_first_file
from targets.usage import UsageStep


def usage(files: Sequence[str], folder: str) -> tuple[UsageStep, ...]:
    """Of its shards llama.cpp is given the first."""
    name = next((name for name in sorted(files) if is_first_file(name)), FILE)
    path = shlex.quote(f"{folder}/{name}")
    return (
        UsageStep(
            "With [llama.cpp](https://github.com/ggml-org/llama.cpp), as a server with a chat "
            "page and an API, or on the command line:",
            f'llama-server -m {path}\nllama-cli -m {path} -p "The capital of France is"',
        ),
        UsageStep(
            "With llama-cpp-python:",
            "from llama_cpp import Llama\n\n"
            f"model = Llama(model_path={f'{folder}/{name}'!r})\n"
            'print(model("The capital of France is", max_tokens=16)["choices"][0]["text"])',
            "python",
        ),
    )
