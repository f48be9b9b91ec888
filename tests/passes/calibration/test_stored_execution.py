"""Runs on rows as they are stored agree with runs on float32, and split the same inputs once."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from convert.weights import ArrayWeight
from passes.calibration import stored_execution
from passes.calibration.stored_execution import StoredExecution
from passes.calibration.stored_products import TiledProduct, WidenedProduct


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
