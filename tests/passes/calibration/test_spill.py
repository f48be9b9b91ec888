"""Values of more texts than a batch: on disk or in memory, the bits are the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from passes.calibration import execution, held
from passes.calibration.execution import batches, bytes_to_read, run
from passes.calibration.snapshots import Snapshots
from passes.calibration.spill import Spill
from tests.passes.calibration.test_snapshots import (
    KilledAfter,
    KilledError,
    assert_equal,
    observers,
)
from tests.support.models import random_ids, small_model

TEXTS = [random_ids(1, length, 101, seed=length)[0].tolist() for length in (9, 1, 14, 9, 30, 9)]


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(execution, "BATCH_TOKENS", 20)
    monkeypatch.setattr(held, "SMALLEST_BYTES", 1)


@pytest.mark.parametrize("kind", ["llama", "bloom", "yuan"])
def test_what_is_seen_is_the_same_on_disk_and_after_a_kill(
    kind, small_batches, tmp_path, monkeypatch
):
    graph, in_memory, on_disk = small_model(kind, num_hidden_layers=2).graph(), *pair()
    spilled = []
    put = Spill.put
    monkeypatch.setattr(Spill, "put", lambda *of: spilled.append(0) or put(*of))
    run(graph, TEXTS, in_memory)
    assert not spilled
    told: list[int] = []
    run(graph, TEXTS, on_disk, told.append, scratch=tmp_path)
    assert len(spilled) > 10 * len(TEXTS)
    assert sum(told) == bytes_to_read(graph)
    assert_equal(on_disk, in_memory)

    snapshots, resumed = KilledAfter(tmp_path / "run", "identity"), observers()
    snapshots.left = 3
    with pytest.raises(KilledError):
        run(graph, TEXTS, observers(), snapshots=snapshots, scratch=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    told.clear()
    more = Snapshots(tmp_path / "run", "identity")
    run(graph, TEXTS, resumed, told.append, more, tmp_path)
    assert_equal(resumed, in_memory)
    assert sum(told) == bytes_to_read(graph)


def pair():
    return observers(), observers()


def test_one_batch_needs_no_disk(tmp_path):
    graph = small_model("llama", num_hidden_layers=1).graph()
    run(graph, TEXTS, observers(), scratch=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@given(st.lists(st.integers(1, 30), min_size=1), st.integers(1, 40))
def test_batches_are_all_texts_in_order_and_no_larger_than_they_must_be(lengths, most):
    texts = [[0] * length for length in lengths]
    found = batches(texts, most)
    assert [number for batch in found for number in batch] == list(range(len(texts)))
    sizes = [sum(lengths[number] for number in batch) for batch in found]
    assert all(len(batch) == 1 or size <= most for batch, size in zip(found, sizes, strict=True))
    for batch, size in zip(found[1:], sizes, strict=False):
        assert size + lengths[batch[0]] > most
    assert batches(texts, None) == [range(len(texts))]


def test_arrays_come_back_and_their_room_is_used_again(tmp_path):
    spill = Spill(tmp_path)
    arrays = [np.arange(30, dtype=np.float32).reshape(5, 6).T, np.array([], np.int64), np.eye(3)]
    places = [spill.put(array) for array in arrays]
    for array, place in zip(arrays, places, strict=True):
        np.testing.assert_array_equal(spill.get(place), array, strict=True)
    size = spill.nbytes
    assert size == sum(array.nbytes for array in arrays)
    spill.free(places[0])
    again = spill.put(arrays[0] + 1)
    assert spill.nbytes == size
    np.testing.assert_array_equal(spill.get(again), arrays[0] + 1)
    assert not list(tmp_path.iterdir())
    spill.close()
