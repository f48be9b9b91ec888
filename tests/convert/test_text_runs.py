"""Texts are run when something asks for what they do, once, and never where none is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

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
    def made(calibrate):
        asked = recipe("gguf:q4_0", model=TINY_LLAMA, calibrate=calibrate)
        opened = open_model(asked, tmp_path)
        source = open_source(opened.checkpoint)
        return TextRuns(
            *(asked, opened.checkpoint, source, opened.inputs, tmp_path, Silent()), restart=False
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
