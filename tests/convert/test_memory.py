"""The chunks that fit into a budget of memory."""

from __future__ import annotations

import pytest

from convert import memory
from convert.errors import UsageError
from convert.memory import SMALLEST_CHUNK, chunk_bytes, default_budget
from convert.stream import CHUNK_BYTES


def test_the_default_is_a_quarter_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 4 << 20)
    assert default_budget() == 1 << 20


@pytest.mark.parametrize("threads", [1, 2, 64])
@pytest.mark.parametrize("artifacts", [1, 3])
@pytest.mark.parametrize("budget", [64 << 20, 200 * 10**6, 10**10])
def test_chunks_and_their_encoded_forms_fit_the_budget(budget, threads, artifacts):
    size = chunk_bytes(budget, threads=threads, artifacts=artifacts)
    assert size * threads * (2 + 2 * artifacts) <= budget
    assert SMALLEST_CHUNK <= size <= CHUNK_BYTES
    assert size & (size - 1) == 0


def test_plenty_of_memory_makes_chunks_no_larger():
    assert chunk_bytes(10**12, threads=2, artifacts=1) == CHUNK_BYTES


def test_too_little_memory_is_refused():
    assert chunk_bytes(4 * SMALLEST_CHUNK, threads=1, artifacts=1) == SMALLEST_CHUNK
    with pytest.raises(UsageError, match="too few"):
        chunk_bytes(4 * SMALLEST_CHUNK - 1, threads=1, artifacts=1)
