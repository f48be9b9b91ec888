"""Weights are cut where rows are aligned and no row order is torn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.chunks import BLOCK_BYTES, Cuts, all_chunks
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Layout, Placement, WriteJob


def job(rows, columns=16, row_order=None):
    weight = ArrayWeight("w", np.zeros((rows, columns), np.float32))
    return WriteJob(weight, encoding("f32"), (Placement("f", 0),), row_order)


def test_parts_bound_the_bytes_and_keep_rows_aligned():
    parts = list(Cuts([job(1000)]).parts(0, 1000, limit=100 * 64))
    assert parts[0][0] == 0
    assert parts[-1][1] == 1000
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(start % 8 == 0 for start, _ in parts)
    assert max(stop - start for start, stop in parts) * 64 <= 100 * 64


@given(rows=st.integers(1, 300), limit=st.integers(1, 5000), data=st.data())
def test_parts_of_any_range_cover_it(rows, limit, data):
    cuts = Cuts([job(rows)])
    bounds = [0, *(stop for _, stop in cuts.parts(0, rows, 1))]
    start, stop = sorted(data.draw(st.lists(st.sampled_from(bounds), min_size=2, max_size=2)))
    parts = list(cuts.parts(start, stop, limit))
    assert [row for part in parts for row in range(*part)] == list(range(start, stop))


def test_a_row_order_that_reverses_everything_is_one_part():
    reverse = np.arange(64)[::-1]
    assert list(Cuts([job(64, 8, reverse)]).parts(0, 64, limit=8)) == [(0, 64)]


def test_one_job_with_a_row_order_binds_the_others():
    heads = np.arange(48).reshape(2, 2, 12).transpose(0, 2, 1).reshape(48)
    assert list(Cuts([job(48), job(48, 16, heads)]).parts(0, 48, limit=8)) == [(0, 24), (24, 48)]


@pytest.mark.parametrize("columns", [1, 7, 4096])
def test_blocks_make_up_a_chunk(tmp_path, columns):
    layout = Layout((), (job((3 * BLOCK_BYTES) // (4 * columns) + 5, columns),))
    for chunk in all_chunks([(tmp_path, layout)], 2 * BLOCK_BYTES, {}):
        blocks = list(chunk.blocks())
        assert (blocks[0][0], blocks[-1][1]) == (chunk.start, chunk.stop)
        assert max(stop - start for start, stop in blocks) * columns * 4 <= BLOCK_BYTES
