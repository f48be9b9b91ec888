"""Runs on rows as they are stored agree with runs on float32, and split the same inputs once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convert.weights import ArrayWeight
from passes.calibration import stored_execution
from passes.calibration.observers import SecondMoments
from passes.calibration.reading import Block
from passes.calibration.stored_execution import StoredExecution
from passes.calibration.stored_products import TiledProduct, WidenedProduct
from tests.support.models import small_model


@pytest.fixture
def execution():
    made = object.__new__(StoredExecution)
    made._memory, made._split = None, ((), np.empty(0, np.uint32))
    return made


def test_weights_choose_what_multiplies_them(execution, monkeypatch):
    inputs = [np.ones((1, 3, 32), np.float32)]
    bfloat16 = ArrayWeight("w", np.ones((4, 32), ml_dtypes.bfloat16))
    splits = []
    monkeypatch.setattr(stored_execution, "suits_tiles", lambda weight: weight is bfloat16)
    monkeypatch.setattr(stored_execution, "split", lambda tokens: splits.append(1) or tokens)
    tiled, again = execution.linear(bfloat16, inputs), execution.linear(bfloat16, inputs)
    assert type(tiled) is type(again) is TiledProduct
    assert len(splits) == 1
    widened = execution.linear(ArrayWeight("v", np.ones((4, 32), np.float32)), inputs)
    assert type(widened) is WidenedProduct
    execution.linear(bfloat16, [each.copy() for each in inputs])
    assert len(splits) == 2


def test_weights_with_the_same_inputs_are_asked_for_together():
    model = small_model("llama", num_hidden_layers=1).graph()
    texts = [[1, 2, 3]]
    asked, waited = [], []

    def feed(step, take):
        name = step.weight.name.split(".")[-2]
        asked.append(name)
        rows = step.weight.read_rows(0, step.weight.rows)
        take(Block(step.weight, 0, step.weight.rows, rows))
        before = tuple(asked)
        return lambda: waited.append((name, len(before), len(asked)))

    ahead, alone = SecondMoments(), SecondMoments()
    StoredExecution(model, texts, (ahead,)).run_ahead(feed, lambda: None)
    StoredExecution(model, texts, (alone,)).run_fed(lambda step, take: feed(step, take)())
    together = {name: now for name, _, now in waited[: len(asked) // 2]}
    assert together["q_proj"] == together["k_proj"] == together["v_proj"] == 3
    assert together["o_proj"] == 4
    assert together["gate_proj"] == together["up_proj"] == 6
    found, expected = ahead.to_arrays(), alone.to_arrays()
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in found)
