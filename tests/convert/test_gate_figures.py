"""Figures are picked from a gate's record, whatever is or is not in it."""

from __future__ import annotations

import pytest

from convert.gate_figures import gate_figures
from convert.manifest import GateRecord
from tests.support.finished import gate_record


def test_figures_have_short_names():
    found = gate_figures(gate_record())
    assert found["overall.mean_kld"] == found["decoded.mean_kld"] == 0.01
    assert (found["tokenizer.differing"], found["weight_error"]) == (0, 0.01)
    assert not any(name.startswith("faithful") for name in found)


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"overall": None, "tokenizer": 3, "chat": {"checked": 0, "differing": 0}},
        {"overall": {"mean_kld": None, "top1": "x"}, "decoded": []},
    ],
)
def test_what_is_missing_or_strange_is_left_out(result):
    assert gate_figures(GateRecord(status="passed", result=result)) == {}
