"""Tokenize texts with the vocabulary of a GGUF in llama.cpp: JSON in, JSON out, its own process.

llama.cpp may abort the process on a vocabulary that it dislikes. The input holds ``texts``,
``prompts``, ``marked`` and ``ids``; the output holds the ids of each text, each prompt with special
tokens around it and each marked text with special tokens found in it, and which of ``ids`` end a
generation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from targets.gguf.native import llama_cpp, load_model, tokenize


def main() -> None:
    """Read the question from standard input, write the answer to standard output."""
    question = json.load(sys.stdin)
    model = load_model(Path(sys.argv[1]), vocab_only=True)
    module = llama_cpp()
    vocabulary = module.llama_model_get_vocab(model)
    answer = {
        "texts": [tokenize(model, text) for text in question["texts"]],
        "prompts": [tokenize(model, text, add=True) for text in question["prompts"]],
        "marked": [tokenize(model, text, parse=True) for text in question["marked"]],
        "ending": [i for i in question["ids"] if module.llama_vocab_is_eog(vocabulary, i)],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
