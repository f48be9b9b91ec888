"""The configurations of models that are too large to be here, as they are published."""

from __future__ import annotations

from bench.deployed_models import (
    BLOOM_7B,
    BLOOM_176B,
    LLAMA2_70B,
    LLAMA_7B,
    LLAMA_8B,
    LLAMA_13B,
    LLAMA_70B,
    LLAMA_405B,
)

__all__ = (
    "BLOOM_7B",
    "BLOOM_176B",
    "LLAMA2_70B",
    "LLAMA_7B",
    "LLAMA_8B",
    "LLAMA_13B",
    "LLAMA_70B",
    "LLAMA_405B",
)
