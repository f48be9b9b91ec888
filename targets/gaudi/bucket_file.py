"""The file that ``VLLM_BUCKETING_FROM_FILE`` names, as vLLM on Gaudi reads it.

One bucket a line, ``(batch, tokens, blocks)``: Python literals, of which each may be a number, a
list, or ``range(start, stop[, step])``; every combination is a bucket (vllm-gaudi, extension/
bucketing/file_strategy.py). A line with 1 token is for decoding, and its blocks are the KV blocks
of all sequences together, 128 tokens each; in other lines they are those of the text before the
prompt, which there is none of without prefix caching and chunked prefill. Lines that begin with
``#`` are skipped; any other line that does not parse ends the server.
"""

from __future__ import annotations

from collections.abc import Sequence

from targets.gaudi.buckets import Buckets


def bucket_file(buckets: Buckets) -> str:
    """The text of the file; the same buckets give the same text."""
    lines = [
        "# Prompts: (batch, tokens, KV blocks before the prompt)",
        f"(1, {_numbers(buckets.prefill)}, 0)",
        "# Decoding: (batch, 1, KV blocks of all sequences)",
        *(f"({each.batch}, 1, {_numbers(each.blocks)})" for each in buckets.decode),
    ]
    return "\n".join(lines) + "\n"


def _numbers(values: Sequence[int]) -> str:
    return str(values[0]) if len(values) == 1 else str(list(values))
