"""Batches that are run apart, and put together in any order, are one run to the last bit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from passes.calibration import execution
from passes.calibration.batch_runs import (
    Batch,
    merge_states,
    run_batch,
    separate_batches,
    state_of,
)
from passes.calibration.execution import bytes_to_read, run
from passes.calibration.observers import SecondMoments
from passes.calibration.snapshots import Snapshots
from tests.passes.calibration.test_snapshots import assert_equal, observers
from tests.support.models import random_ids, small_model


def texts_of(lengths, seed=0):
    return [
        random_ids(1, length, 101, seed + number)[0].tolist()
        for number, length in enumerate(lengths)
    ]


def apart(small, texts, order=lambda batches: batches):
    """States of all batches, each by a graph of its own, as they arrive."""
    states = {}
    for batch in order(separate_batches(small.graph(), texts)):
        seen = observers()
        run_batch(small.graph(), batch, seen)
        states[batch.number] = pickle.loads(pickle.dumps(state_of(seen)))
    return states


def require_equal(small, texts, states, batches):
    whole, merged = observers(), observers()
    run(small.graph(), texts, whole)
    merge_states(merged, states)
    assert len(states) == batches
    assert_equal(merged, whole)


@pytest.mark.parametrize("kind", ["bloom", "yuan", "mixtral"])
def test_batches_apart_are_one_run_to_the_last_bit(kind, monkeypatch):
    monkeypatch.setattr(execution, "BATCH_TOKENS", 12)
    small = small_model(kind, num_hidden_layers=2)
    # The batch of one token leaves experts without any.
    texts = texts_of((9, 3, 14, 5, 5, 2, 1, 30))
    states = apart(small, texts, order=lambda batches: batches[::-1])
    require_equal(small, texts, states, 5)


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", num_hidden_layers=1)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 20), st.randoms())
def test_whatever_the_batches_and_the_order_in_which_they_come(llama, lengths, most, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "BATCH_TOKENS", most)
        texts = texts_of(lengths)

        def shuffled(batches):
            return random.sample(batches, len(batches))

        states = apart(llama, texts, shuffled)
        require_equal(llama, texts, states, len(execution.batches(texts, most)))


def test_states_that_were_kept_in_files_are_merged_likewise(llama, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "BATCH_TOKENS", 6)
    texts = texts_of((5, 4, 6))
    states = apart(llama, texts)
    for number, state in states.items():
        Snapshots(tmp_path / str(number), "same").keep(state)
    kept = {number: Snapshots(tmp_path / str(number), "same").load() for number in states}
    require_equal(llama, texts, kept, 3)


def test_later_batches_read_no_weight_that_only_observers_look_at(llama):
    graph, [text] = llama.graph(), texts_of((4,))
    read, seen = {}, {}
    for number in (0, 1):
        seen[number] = observers()
        done = []
        run_batch(graph, Batch(number, (text,)), seen[number], done.append)
        read[number] = sum(done)
    [head] = [name for name in llama.weights if "lm_head" in name]
    assert read[0] == bytes_to_read(graph)
    # Its last matrix is not multiplied with, nor is the last MLP's: nobody wants the logits.
    assert read[1] <= read[0] - llama.weights[head].nbytes
    _, weights, *_ = seen[1]
    assert weights.largest == {}
    assert seen[0][0].largest == seen[1][0].largest


def test_what_is_multiplied_once_for_all_texts_keeps_them_together(llama, monkeypatch):
    monkeypatch.setattr(execution, "BATCH_TOKENS", 4)
    texts, graph = texts_of((4, 4, 4)), llama.graph()
    assert [each.tokens for each in separate_batches(graph, texts)] == [4, 4, 4]
    steps = execution.plan(graph, logits=False)

    class Positions:
        def __init__(self, step):
            self.weight, self.by_text = step.weight, False

    monkeypatch.setattr(
        "passes.calibration.batch_runs.plan",
        lambda *_, **__: type("Plan", (), {"steps": list(map(Positions, steps.steps))}),
    )
    [batch] = separate_batches(graph, texts)
    assert batch == Batch(0, tuple(texts))


def test_sums_are_added_in_the_order_of_batches_whoever_comes_first():
    parts = {}
    for number, value in enumerate((1e8, 1.0, 3.0)):
        seen = SecondMoments()
        seen.linear("a", np.full((1, 1), value, np.float32))
        parts[number] = state_of([seen])
    found = SecondMoments()
    merge_states([found], dict(reversed(parts.items())))
    assert found.sums["a"] == (np.float64(1e16) + 1.0) + 9.0 != np.float64(1e16) + (1.0 + 9.0)
