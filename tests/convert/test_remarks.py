"""What is said of a finished artifact."""

from __future__ import annotations

from types import SimpleNamespace

from convert import remarks as module
from convert.remarks import remarks
from passes.quantize import TensorCoverage


def test_every_remark_is_a_line(monkeypatch):
    fallen = TensorCoverage("head", (4, 4), "linear", "int8", 8.0, 16, "int4 does not fit")
    monkeypatch.setattr(module, "coverage", lambda model: (fallen,))
    experts = SimpleNamespace(line=lambda: "2 experts unseen")
    weighting = SimpleNamespace(tokens=7, experts=experts)
    item = SimpleNamespace(imatrix=None, layout=SimpleNamespace(notes=("n",)), model=None)
    assert list(remarks(item, weighting)) == [
        "scales weighted by 7 tokens",
        "2 experts unseen",
        "note: n",
        "not as asked: head: int8, because int4 does not fit",
    ]


def test_nothing_to_remark(monkeypatch):
    monkeypatch.setattr(module, "coverage", lambda model: ())
    item = SimpleNamespace(imatrix=None, layout=SimpleNamespace(notes=()), model=None)
    assert not list(remarks(item, None))
