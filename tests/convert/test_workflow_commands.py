"""Names from strangers are no workflow commands, and annotations hold any text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.progress import Reporter
from convert.workflow_commands import annotation, harmless, on_github


def commands(text):
    """The lines that the runner would obey: see `ActionCommand.cs` of github.com/actions/runner,
    whose lines end at ``\\r`` and ``\\n`` and are trimmed.
    """
    return [
        line
        for line in re.split("\r\n|\r|\n", text)
        if line.strip().startswith("::") or "##[" in line
    ]


HOSTILE = (
    "::error::x", "  ::set-output name=a::b", "a\n::add-mask::b", "a\r::stop-commands::b",
    "a ##[add-path]/tmp", "\x85::error::x", "\u2028::warning::", "::::",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_is_a_command(text):
    assert commands(text) or "\x85" in text or "\u2028" in text
    assert not commands(harmless(text))
    assert harmless(text).replace("\u2060", "") == text


@given(st.text(st.sampled_from("::#[ a\r\n\t\x85\u2028\ufeff%,"), max_size=30))
def test_no_text_is_a_command(text):
    assert not commands(harmless(text))


@given(st.text(), st.text(), st.text())
def test_an_annotation_is_one_command_whatever_it_says(title, message, file):
    line = annotation("error", message, title=title, file=file, line=3)
    assert "\n" not in line
    assert "\r" not in line
    found = re.fullmatch(r"::error title=([^:,]*),file=([^:,]*),line=3::(.*)", line, re.DOTALL)
    assert found is not None
    back = [found[1], found[2], found[3]]
    for code, sign in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        back = [part.replace(code, sign) for part in back]
    assert back == [title, file, message]


def test_what_is_reported_is_harmless_in_a_workflow(monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert on_github()
    Reporter().say("::error::mine")
    assert not commands(capsys.readouterr().err)
    monkeypatch.delenv("GITHUB_ACTIONS")
    Reporter().say("::error::mine")
    assert commands(capsys.readouterr().err) == ["::error::mine"]
