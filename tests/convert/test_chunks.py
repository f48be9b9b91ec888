"""Weights are cut where rows are aligned and no row order is torn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.chunks import BLOCK_BYTES, Cuts, WeightJobs, by_weight, cell_rows, chunk_count
from convert.weights import ArrayWeight
from passes.encodings import encoding
from targets.base import Layout, Placement, WriteJob


def job(rows, columns=16, row_order=None):
    weight = ArrayWeight("w", np.zeros((rows, columns), np.float32))
    return WriteJob(weight, encoding("f32"), (Placement("f", 0),), row_order)


def cuts(*jobs, **options):
    return Cuts(jobs[0].weight, jobs, **options)


def test_parts_bound_the_bytes_and_keep_rows_aligned():
    parts = list(cuts(job(1000)).parts(0, 1000, limit=100 * 64))
    assert parts[0][0] == 0
    assert parts[-1][1] == 1000
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(start % 8 == 0 for start, _ in parts)
    assert max(stop - start for start, stop in parts) * 64 <= 100 * 64


@given(rows=st.integers(1, 300), limit=st.integers(1, 5000), data=st.data())
def test_parts_of_any_range_cover_it(rows, limit, data):
    allowed = cuts(job(rows))
    bounds = [0, *(stop for _, stop in allowed.parts(0, rows, 1))]
    start, stop = sorted(data.draw(st.lists(st.sampled_from(bounds), min_size=2, max_size=2)))
    parts = list(allowed.parts(start, stop, limit))
    assert [row for part in parts for row in range(*part)] == list(range(start, stop))


def test_a_row_order_that_reverses_everything_is_one_part():
    reverse = np.arange(64)[::-1]
    assert list(cuts(job(64, 8, reverse)).parts(0, 64, limit=8)) == [(0, 64)]


def test_one_job_with_a_row_order_binds_the_others():
    heads = np.arange(48).reshape(2, 2, 12).transpose(0, 2, 1).reshape(48)
    assert list(cuts(job(48), job(48, 16, heads)).parts(0, 48, limit=8)) == [(0, 24), (24, 48)]


@pytest.mark.parametrize("columns", [1, 7, 4096])
def test_blocks_make_up_a_chunk(tmp_path, columns):
    layout = Layout((), (job((3 * BLOCK_BYTES) // (4 * columns) + 5, columns),))
    (group,) = by_weight([(tmp_path, layout)], {})
    for chunk in group.chunks(2 * BLOCK_BYTES):
        blocks = list(chunk.blocks())
        assert (blocks[0][0], blocks[-1][1]) == (chunk.start, chunk.stop)
        assert max(stop - start for start, stop in blocks) * columns * 4 <= BLOCK_BYTES


@pytest.mark.parametrize("columns", [1, 7, 4096, 1 << 18])
def test_cells_do_not_depend_on_how_a_weight_is_chunked(tmp_path, columns):
    rows = 3 * cell_rows(job(1, columns).weight) + 5
    (group,) = by_weight([(tmp_path, Layout((), (job(rows, columns),)))], {})
    whole = next(group.chunks(1 << 62, in_cells=True))
    for limit in (1, 100_000, 2 * rows * columns):
        chunks = list(group.chunks(limit, in_cells=True))
        assert [cell for chunk in chunks for cell in chunk.cells()] == list(whole.cells())
    assert [start % cell_rows(group.weight) for start, _ in whole.cells()] == [0] * 4
    assert cell_rows(group.weight) >= 128


def test_chunks_in_cells_keep_row_orders_together(tmp_path):
    rows, heads = 96 * 16, np.arange(96 * 16).reshape(16, 2, 48).transpose(0, 2, 1).reshape(-1)
    layout = Layout((), (job(rows, 4096, heads),))
    (group,) = by_weight([(tmp_path, layout)], {})
    assert cell_rows(group.weight) == 128
    assert {chunk.start % 384 for chunk in group.chunks(1, in_cells=True)} == {0}


@given(st.integers(1, 3000), st.integers(1, 5000), st.integers(64, 1 << 20), st.booleans())
def test_chunks_are_counted_without_making_them(rows, columns, limit, in_cells):
    weight = ArrayWeight("w", np.broadcast_to(np.float32(0), (rows, columns)))
    made = list(WeightJobs(weight).chunks(limit, in_cells=in_cells))
    assert chunk_count(weight, limit, in_cells=in_cells) == len(made)
