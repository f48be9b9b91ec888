"""What users see of a run, without a terminal."""

from __future__ import annotations

import io
import threading

import pytest

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


def test_a_long_stage_gives_signs_of_life(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_SIGNS_OF_LIFE", 0.01)
    stream = io.StringIO()
    told = threading.Event()

    class Watched(Reporter):
        def say(self, text):
            super().say(text)
            if "so far" in text:
                told.set()

    with Watched(stream).stage("check"):
        assert told.wait(30)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "check ..."
    assert lines[1] == "check: 0 s so far"
    assert lines[-1].startswith("check: ")
    assert not lines[-1].endswith("so far")


def test_a_stage_that_fails_falls_silent(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_SIGNS_OF_LIFE", 0.01)
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), Reporter(stream).stage("check"):
        raise ZeroDivisionError
    assert not any(each.name == "signs of life" for each in threading.enumerate())
