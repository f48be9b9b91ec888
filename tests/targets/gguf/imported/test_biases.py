"""Biases that an architecture does not compute with are known by name; weights are all read."""

from __future__ import annotations

import pytest

from targets.gguf.imported.biases import READ, is_read
from targets.gguf.imported.runs import RUNS


@pytest.mark.parametrize(
    ("architecture", "stored", "read"),
    [
        ("llama", "blk.0.attn_output.bias", True),
        ("qwen3", "blk.12.attn_q.bias", True),
        ("qwen3", "blk.12.attn_output.bias", False),
        ("ernie4_5", "blk.1.attn_output.bias", False),
        ("qwen2", "output.bias", True),
        ("deepseek2", "blk.0.attn_q_a.bias", False),
        ("falcon", "blk.0.attn_qkv.bias", False),
        ("falcon", "blk.0.attn_qkv.weight", True),
    ],
)
def test_what_is_read(architecture: str, stored: str, read: bool) -> None:
    assert is_read(architecture, stored) is read


def test_only_architectures_that_run_something_are_listed() -> None:
    assert READ.keys() <= {runs.architecture for runs in RUNS.values()}
