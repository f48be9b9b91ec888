"""Orders of rows, row by row as llama.cpp's converter makes them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convert.gguf_rows import interleaved_rows, row_order, rows_by_part

HEADS = st.integers(1, 9)
QKV = "transformer.h.0.self_attention.query_key_value.bias"
Q = "model.layers.1.self_attn.q_proj.weight"


@given(heads=HEADS, half=st.integers(1, 40))
def test_rows_of_a_pair_become_neighbours(heads: int, half: int) -> None:
    expected = [
        head * 2 * half + side * half + i
        for head in range(heads)
        for i in range(half)
        for side in range(2)
    ]
    assert interleaved_rows(heads * 2 * half, 2 * half).tolist() == expected


@given(heads=HEADS, head_dim=st.integers(1, 40))
def test_queries_come_before_keys_and_keys_before_values(heads: int, head_dim: int) -> None:
    expected = [
        head * 3 * head_dim + part * head_dim + i
        for part in range(3)
        for head in range(heads)
        for i in range(head_dim)
    ]
    assert rows_by_part(3 * heads * head_dim, head_dim).tolist() == expected


def test_which_parameters_are_reordered() -> None:
    assert np.array_equal(row_order("llama", Q, 8, 4), interleaved_rows(8, 4))
    assert np.array_equal(row_order("bloom", QKV, 24, 4), rows_by_part(24, 4))
    assert row_order("qwen2", Q, 8, 4) is None
    assert row_order("llama", Q.replace("q_proj", "v_proj"), 8, 4) is None
    assert row_order("bloom", "transformer.h.0.self_attention.dense.weight", 8, 4) is None
