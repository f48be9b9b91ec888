"""Texts are run when something asks for what they do, once, and never where none is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from convert.manifest import SourceRecord
from convert.opening import open_model
from convert.preparation import open_source
from convert.recipe import NO_TEXT
from convert.text_runs import TextRuns
from tests.support.runs import TINY_LLAMA, recipe


@dataclass
class Silent:
    said: list[str] = field(default_factory=list)

    def say(self, line):
        self.said.append(line)


@pytest.fixture
def runs_of(tmp_path):
    def made(calibrate, **options):
        asked = recipe("gguf:q4_0", model=TINY_LLAMA, calibrate=calibrate)
        opened = open_model(asked, tmp_path)
        source = open_source(opened.checkpoint)
        return TextRuns(
            *(asked, opened.checkpoint, source, opened.inputs, tmp_path, Silent()),
            restart=False,
            **options,
        )

    return made


def test_where_no_text_is_wanted_none_is_run_and_no_file_hashed(runs_of):
    runs = runs_of(NO_TEXT)
    assert runs.observe() is None
    assert runs.measure((0.5,)) is None
    assert runs.weighting() is None


def test_how_scales_are_chosen_is_found_and_told_once(runs_of):
    runs = runs_of("sample")
    assert runs.weighting() is runs.weighting() is not None
    assert runs.weigh().one_pass is not None
    [line] = runs._reporter.said
    assert line.startswith("scales are weighted by")


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda runs: runs.observe(), "convert.observing.find_or_observe"),
        (lambda runs: runs.measure((0.5,)), "convert.measuring.find_or_measure"),
    ],
)
def test_workers_are_handed_on_to_what_they_can_do(runs_of, monkeypatch, ask, asked):
    workers, given = object(), []
    monkeypatch.setattr(asked, lambda *_, **named: given.append(named["workers"]))
    runs = runs_of("sample", workers=workers)
    monkeypatch.setattr(runs, "record", lambda: SourceRecord(label="m", digest="d", files=()))
    ask(runs)
    assert given == [workers]
