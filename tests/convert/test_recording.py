"""Recordings are found again exactly if they would hold the same."""

from __future__ import annotations

import io

import pytest

from convert import recording
from convert.errors import MissingFileError, RecipeError
from convert.manifest import GateRecord, SourceRecord
from convert.progress import Reporter
from convert.recording import find_or_record, recording_beside, recording_name


def test_the_name_follows_from_everything_that_decides_the_contents(tmp_path):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one")
    names = {
        recording_name("a", None, tokenizer=True),
        recording_name("b", None, tokenizer=True),
        recording_name("a", None, tokenizer=False),
        recording_name("a", prompts, tokenizer=True),
    }
    prompts.write_text("two")
    names.add(recording_name("a", prompts, tokenizer=True))
    assert len(names) == 5
    assert recording_name("a", None, tokenizer=True) in names


def test_unreadable_prompts_are_named(tmp_path):
    with pytest.raises(RecipeError, match="cannot read the prompts"):
        recording_name("a", tmp_path / "absent.txt", tokenizer=True)


def test_a_recording_that_is_there_is_not_made_again(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        recording, "record_golden", lambda folder, path, **_: (made.append(folder), path.touch())
    )

    class Checkpoint:
        folder = tmp_path
        adapters = ()
        bring_here = staticmethod(lambda: None)

    def find():
        return find_or_record(
            Checkpoint, SourceRecord(label="m", digest="d", files=()), tmp_path,
            prompts=None, tokenizer=True, threads=1, reporter=Reporter(io.StringIO()),
        )  # fmt: skip

    assert find() == find()
    assert made == [tmp_path]


def test_an_artifact_that_was_never_compared_has_no_recording(tmp_path):
    with pytest.raises(MissingFileError):
        recording_beside(tmp_path, GateRecord(status="unverified"))
