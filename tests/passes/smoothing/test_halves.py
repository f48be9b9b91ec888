"""Halves of inputs that batches were seen apart in are those of one run."""

from __future__ import annotations

import numpy as np
import pytest

from passes.calibration import execution
from passes.calibration.batch_runs import (
    merge_states,
    of_observer,
    run_batch,
    separate_batches,
    state_of,
)
from passes.smoothing.halves import Halved, halved, halved_bytes
from passes.smoothing.measuring import measure, measured_apart
from tests.support.models import random_ids, small_model


@pytest.fixture(scope="module")
def small():
    return small_model("yuan", num_hidden_layers=1)


@pytest.fixture(scope="module")
def texts():
    lengths = (21, 5, 300, 280, 9)
    return [random_ids(1, length, 101, length)[0].tolist() for length in lengths]


@pytest.fixture
def states(small, texts, monkeypatch):
    monkeypatch.setattr(execution, "BATCH_TOKENS", 300)
    found = {}
    for batch in reversed(separate_batches(small.graph(), texts)):
        seen = halved(small.graph())
        run_batch(small.graph(), batch, seen)
        arrays = state_of(seen)
        assert sum(array.nbytes for array in arrays.values()) <= halved_bytes(small.graph())
        found[batch.number] = arrays
    return found


def test_what_is_measured_apart_is_what_is_measured_at_once(small, texts, states):
    whole = measure(small.graph(), texts, (0.3, 0.7), text_sha256="ab")
    found = measured_apart(small.graph(), texts, (0.3, 0.7), states, "ab")
    assert len(states) == 3
    assert (found.plain, found.errors) == (whole.plain, whole.errors)
    assert list(found.plain) == list(whole.plain)
    assert list(found.smoothed) == list(whole.smoothed) != []
    for name, one in found.smoothed.items():
        other = whole.smoothed[name]
        assert one.divisors.tobytes() == other.divisors.tobytes()
        assert (one.alpha, one.within, one.error) == (other.alpha, other.within, other.error)
    assert (found.text_sha256, found.tokens) == ("ab", sum(map(len, texts)))


def test_merging_all_groups_is_merging_each(small, states):
    [every] = halved(small.graph())
    merge_states([every], states)
    assert every.seen.keys() == {group.name for group in every.groups}
    for group in every.groups:
        one = Halved(small.graph())
        for batch in sorted(states):
            one.merge_group(group, of_observer(0, states[batch]))
        for half, other in zip(
            every.seen[group.name].halves, one.seen[group.name].halves, strict=True
        ):
            assert np.array_equal(half.sample, other.sample)
            assert np.array_equal(half.low, other.low)
