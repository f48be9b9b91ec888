"""The measurement of calibration."""

from __future__ import annotations

import pytest

from bench import calibration
from bench.measure import Usage
from bench.synthetic import SHAPES, build


def test_what_is_measured_observes_every_text(tmp_path, monkeypatch):
    import passes.calibration.observations as module

    seen = []
    observe = module.observe

    def watching(model, texts, scratch):
        assert scratch.parent == tmp_path / "tiny"
        seen.append([len(text) for text in texts])
        return observe(model, texts)

    monkeypatch.setattr(module, "observe", watching)
    build(SHAPES["tiny"], tmp_path / "tiny", sparse=True)
    calibration.main(["--observe", str(tmp_path / "tiny"), "--tokens", "700"])
    assert seen == [[512, 188]]


def test_a_method_rounds_every_layer_and_leaves_nothing(tmp_path, monkeypatch):
    from convert.kept_codes import KeptCodes

    kept = []
    monkeypatch.setattr(KeptCodes, "keep", lambda self, name, *rest: kept.append(name))
    build(SHAPES["tiny"], tmp_path / "tiny", sparse=True)
    before = sorted(tmp_path.rglob("*"))
    options = ["--observe", str(tmp_path / "tiny"), "--tokens", "40", "--method", "gptq"]
    calibration.main(options)
    assert len(kept) == 7 * SHAPES["tiny"].layers
    assert sorted(tmp_path.rglob("*")) == before


def test_ratios_are_to_the_first_of_a_shape(monkeypatch, capsys, tmp_path):
    peaks = iter([100e6, 110e6])
    monkeypatch.setattr(calibration, "cost", lambda *case: Usage(1.0, 1.0, 0.5, int(next(peaks))))
    calibration.main(["--out", str(tmp_path), "--shapes", "13b"])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[3:5] for row in rows] == [["100", "1.00"], ["110", "1.10"]]


def test_a_folder_is_needed(capsys):
    with pytest.raises(SystemExit):
        calibration.main([])
    assert "--out is needed" in capsys.readouterr().err
