"""The picture of speeds: one that can be read, the same for the same figures."""

from __future__ import annotations

import sys
from itertools import product

import pytest

from convert.benching import Speed
from convert.errors import UsageError
from convert.speed_plot import plotter

SWEEP = [
    Speed(length, 32, 0.5 * length * batch, 10.0 + batch, batch, 0.6 * length * batch, 12.0 + batch)
    for batch, length in product((1, 4, 8), (128, 512, 1024))
]


@pytest.fixture(autouse=True)
def _needs_matplotlib():
    pytest.importorskip("matplotlib")


def test_a_drawing_names_its_axes_with_units_and_every_batch(tmp_path):
    path = tmp_path / "speed.svg"
    plotter(path)("onnx-f32", SWEEP)
    text = path.read_text("utf-8")
    for words in ("onnx-f32: median", "first token, ms", "next token, ms", "prompt, tokens"):
        assert words in text
    for batch in (1, 4, 8):
        assert f"batch {batch}<" in text
    assert ">1024<" in text
    first = path.read_bytes()
    plotter(path)("onnx-f32", SWEEP)
    assert path.read_bytes() == first


def test_one_length_is_drawn_along_the_batches(tmp_path):
    path = tmp_path / "speed.svg"
    plotter(path)("onnx-f32", SWEEP[::3])
    text = path.read_text("utf-8")
    assert "sequences at once" in text
    assert "prompts of 128 tokens" in text


def test_a_bitmap_has_lines_in_it(tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "speed.PNG"
    plotter(path)("onnx-f32", SWEEP)
    pixels = imread(path)
    assert pixels.shape[0] > 400
    assert pixels.shape[1] > 1200
    coloured = (pixels[..., :3].max(-1) - pixels[..., :3].min(-1)) > 0.3
    assert coloured.sum() > 1000


@pytest.mark.parametrize("name", ["speed.pdf", "speed", "no-such-folder/speed.png"])
def test_a_file_that_cannot_be_drawn_is_refused(tmp_path, name):
    with pytest.raises(UsageError):
        plotter(tmp_path / name)


def test_a_missing_matplotlib_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        plotter(tmp_path / "speed.png")
    assert "tricast[plot]" in caught.value.remedy
