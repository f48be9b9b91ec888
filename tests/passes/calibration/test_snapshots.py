"""A run that was killed goes on from its snapshot and ends in the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from convert.parameter import Parameter
from convert.weights import ArrayWeight
from passes.calibration.execution import Execution, bytes_to_read, run
from passes.calibration.observers import (
    LargestChannels,
    LargestHeads,
    LargestInputs,
    LargestWeights,
    Observer,
    SecondMoments,
)
from passes.calibration.snapshots import Snapshots, below, identity_of, within
from tests.support.models import random_ids, small_model

TEXTS = [random_ids(1, length, 101, seed=length)[0].tolist() for length in (9, 1, 14, 9)]


@pytest.fixture(scope="module", params=["llama", "bloom", "yuan"])
def model(request):
    return small_model(request.param, num_hidden_layers=2)


def observers():
    return [LargestInputs(), LargestWeights(), LargestHeads(), LargestChannels(), SecondMoments()]


class KilledError(Exception):
    """Stands for the end of a process."""


class KilledAfter(Snapshots):
    """Keeps a snapshot whenever it can, and is killed after one of them."""

    left = 0

    def offer(self, state):
        self.keep(state())
        self.left -= 1
        if not self.left:
            raise KilledError


def assert_equal(found: list[Observer], expected: list[Observer]):
    for one, other in zip(found, expected, strict=True):
        arrays, wanted = one.to_arrays(), other.to_arrays()
        assert arrays.keys() == wanted.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, wanted[name], strict=True)


def test_a_killed_run_goes_on_in_the_same_bits_wherever_it_rests(model, tmp_path):
    graph, unbroken = model.graph(), observers()
    rests = []
    run(graph, TEXTS, unbroken)
    Execution(graph, TEXTS, (), logits=False).run_fed(hand_over_all, lambda: rests.append(0))
    assert len(rests) > 4
    for number in range(1, len(rests) + 1):
        snapshots = KilledAfter(tmp_path / "run", "identity")
        snapshots.remove()
        snapshots.left = number
        with pytest.raises(KilledError):
            run(graph, TEXTS, observers(), snapshots=snapshots)
        told, resumed = [], observers()
        run(graph, TEXTS, resumed, told.append, Snapshots(tmp_path / "run", "identity"))
        assert_equal(resumed, unbroken)
        assert sum(told) == bytes_to_read(graph)


def hand_over_all(step, take):
    from passes.calibration.reading import read_ahead

    for block in read_ahead([step.weight]):
        take(block)


def test_finished_layers_are_not_read_again(tmp_path):
    model = small_model("llama", num_hidden_layers=2)
    graph, read = model.graph(), []

    class Watched(ArrayWeight):
        def read_rows(self, start, stop):
            read.append(self.name)
            return super().read_rows(start, stop)

    for name, weight in model.weights.items():
        graph.graph.initializers[name].const_value = Parameter(Watched(name, weight.array))
    snapshots = KilledAfter(tmp_path / "run", "identity")
    snapshots.left = 3
    with pytest.raises(KilledError):
        run(graph, TEXTS, observers(), snapshots=snapshots)
    assert any(name.startswith("model.layers.0.mlp") for name in read)
    read.clear()
    run(graph, TEXTS, observers(), snapshots=Snapshots(tmp_path / "run", "identity"))
    assert read
    assert not [name for name in read if name.startswith(("model.layers.0.", "model.embed"))]


ARRAYS = {
    "odd": np.array([True, False, True]),
    "none": np.empty((0, 3), np.float32),
    "scalar": np.array(3.5, np.float64),
    "many": np.arange(6, dtype=np.float32).reshape(2, 3),
    "count": np.array([1 << 40], np.int64),
}


def kept(path):
    snapshots = Snapshots(path, "identity")
    snapshots.keep(ARRAYS)
    return snapshots


def test_arrays_come_back_as_they_were(tmp_path):
    found = kept(tmp_path / "folder" / "run").load()
    assert dict(found).keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["run"]


def test_a_torn_or_damaged_snapshot_is_nothing(tmp_path):
    snapshots, path = kept(tmp_path / "run"), tmp_path / "run"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert snapshots.load() is None
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        found = snapshots.load()
        assert found is None or {**found}.keys() == ARRAYS.keys()
    path.write_bytes(whole[:-1] + b"\x07")
    assert snapshots.load() is None


def test_a_snapshot_of_another_run_is_nothing(tmp_path):
    kept(tmp_path / "run")
    assert Snapshots(tmp_path / "run", "other").load() is None
    assert Snapshots(tmp_path / "gone", "identity").load() is None


def test_the_identity_is_of_graph_and_what_else_is_given():
    one, other = small_model("llama"), small_model("llama", intermediate_size=64)
    names = {
        identity_of(one.graph()),
        identity_of(other.graph()),
        identity_of(one.graph(), "digest"),
        identity_of(one.graph(), [[1, 2]]),
    }
    assert len(names) == 4
    assert identity_of(one.graph(), "digest") in names


def test_snapshots_are_kept_by_time_and_seldom_where_they_are_slow(tmp_path, monkeypatch):
    now, kept_at = [0.0], []
    monkeypatch.setattr("passes.calibration.snapshots.time.monotonic", lambda: now[0])
    snapshots = Snapshots(tmp_path / "run", "identity", seconds_between=2)

    def state():
        kept_at.append(now[0])
        now[0] += 0.5
        return ARRAYS

    for moment in (1, 2, 3, 10, 52, 53):
        now[0] = moment
        snapshots.offer(state)
    assert kept_at == [2, 53]


def test_what_is_over_leaves_nothing(tmp_path):
    snapshots = kept(tmp_path / "run")
    (tmp_path / "run.partial").write_bytes(b"torn")
    snapshots.remove()
    snapshots.remove()
    assert not list(tmp_path.iterdir())


def test_an_observer_that_cannot_be_kept_says_so():
    with pytest.raises(NotImplementedError, match="Observer cannot be kept"):
        Observer().to_arrays()
    with pytest.raises(NotImplementedError, match="Observer cannot be kept"):
        Observer().from_arrays({})


def test_longer_names_come_off_again():
    assert within("a", {**below("a", {"b.c": ARRAYS["odd"]}), "ab.c": ARRAYS["none"]}) == {
        "b.c": ARRAYS["odd"]
    }
