"""The report command hands its options on."""

from __future__ import annotations

from pathlib import Path

from convert.__main__ import main
from convert.cli import reporting
from convert.reporting import making


def test_options_reach_the_maker(monkeypatch, capsys):
    given = {}

    def make_page(artifact, **options):
        given.update(options, artifact=artifact)
        return Path("page.html")

    monkeypatch.setattr(making, "make_page", make_page)
    assert main(["report", "dir", "--golden", "g", "--out", "o", "--threads", "3"]) == 0
    assert capsys.readouterr().out == "page.html\n"
    assert (given["artifact"], given["golden"], given["out"]) == (Path("dir"), Path("g"), Path("o"))
    assert (given["gate"], given["threads"]) == (True, 3)
    assert main(["report", "dir"]) == 0
    assert given["gate"] is False
    assert reporting.report.__doc__.startswith("Write a page")
