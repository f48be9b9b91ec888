"""What is done with finished artifacts hands its options on unchanged; none prints."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import convert
from convert.errors import MissingFileError, UsageError
from convert.publishing import commands
from convert.reporting import making


def test_each_reaches_what_the_command_line_reaches(monkeypatch, capfd):
    asked = {}
    for module, name in ((commands, "publish"), (commands, "pull"), (making, "make_page")):

        def note(*given, _name=name, **options):
            options.pop("reporter").say("never heard")
            asked[_name] = (given, options)
            return _name

        monkeypatch.setattr(module, name, note)
    assert convert.publish("a", "o/n", dry_run=True, languages=["en"]) == "publish"
    assert asked["publish"][0] == (Path("a"), "o/n")
    assert (asked["publish"][1]["dry_run"], asked["publish"][1]["public"]) == (True, False)
    assert convert.pull("o/n", "out") == "pull"
    assert asked["pull"][0] == ("o/n", Path("out"))
    assert convert.report("a", golden="g", threads=1) == "make_page"
    assert asked["make_page"] == (
        (Path("a"),),
        {"out": None, "gate": True, "golden": Path("g"), "threads": 1},
    )
    assert capfd.readouterr() == ("", "")


def test_errors_are_the_catalogues(tmp_path):
    with pytest.raises(MissingFileError):
        convert.report(tmp_path)
    with pytest.raises(UsageError):
        convert.publish(tmp_path, "nonsense")


def test_a_reporter_of_ones_own_is_told(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(commands, "pull", lambda *_, reporter: reporter.say("heard"))
    convert.pull("o/n", "out", reporter=convert.Reporter(stream))
    assert stream.getvalue() == "heard\n"
