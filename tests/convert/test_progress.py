"""What users see of a run, without a terminal."""

from __future__ import annotations

import io

from convert import progress
from convert.progress import Reporter


def test_lines_say_size_and_rate(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    with Reporter(stream).transfer("convert", 2_000_000) as advance:
        advance(500_000)
        advance(1_500_000)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "convert: 2 MB ..."
    assert lines[1].startswith("convert: 25%, ")
    assert "s left" in lines[1]
    assert lines[-1].startswith("convert: 2 MB in ")


def test_nothing_yet_is_no_rate(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    with Reporter(stream).transfer("convert", 1000) as advance:
        advance(0)
        assert stream.getvalue().splitlines() == ["convert: 1 kB ..."]
        advance(1000)
    assert "convert: 100%, " in stream.getvalue()


def test_a_terminal_gets_a_bar():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with Reporter(stream).transfer("convert", 1000) as advance:
        advance(1000)
    assert "convert: 1 kB in " in stream.getvalue()


def test_a_stage_says_how_long_it_took():
    stream = io.StringIO()
    with Reporter(stream).stage("open"):
        pass
    assert stream.getvalue().splitlines() == ["open ...", "open: 0.0 s"]
