"""Lines appear under their name when all are there; an interrupted run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.errors import OutputBusyError, OutputExistsError, ResumeError
from convert.output_lines import OutputLines


def interrupted(path, records, settings=None, **options):
    with (
        pytest.raises(KeyboardInterrupt),
        OutputLines(path, settings or {}, **options) as lines,
    ):
        for record in records:
            lines.write(record)
        raise KeyboardInterrupt


def finished(path, records, settings=None, **options):
    with OutputLines(path, settings or {}, **options) as lines:
        taken_up = lines.finished
        for record in records[taken_up:]:
            lines.write(record)
        lines.publish()
    return taken_up


RECORDS = [{"index": 0, "text": "zwölf\n"}, {"index": 1}, {"index": 2}]


def test_lines_appear_when_all_are_there(tmp_path):
    path = tmp_path / "new" / "out.jsonl"
    with OutputLines(path, {}) as lines:
        lines.write(RECORDS[0])
        assert not path.exists()
        lines.publish()
    assert path.read_text("utf-8") == '{"index": 0, "text": "zwölf\\n"}\n'
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupted_run_goes_on_to_the_same_bytes(tmp_path):
    finished(tmp_path / "whole", RECORDS)
    path = tmp_path / "out"
    interrupted(path, RECORDS[:2])
    assert not path.exists()
    assert finished(path, RECORDS) == 2
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["out", "whole"]


def test_a_torn_line_and_an_unfinished_batch_are_made_again(tmp_path):
    path = tmp_path / "out"
    interrupted(path, RECORDS)
    lines = tmp_path / ".out.partial" / "lines.jsonl"
    lines.write_bytes(lines.read_bytes()[:-2])
    assert finished(path, RECORDS) == 2
    path.unlink()
    interrupted(path, RECORDS)
    assert finished(path, RECORDS, together=2) == 2
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == RECORDS


def test_nothing_is_left_of_a_run_that_wrote_nothing(tmp_path):
    interrupted(tmp_path / "out", [])
    assert not list(tmp_path.iterdir())


def test_lines_made_otherwise_are_not_gone_on_with(tmp_path):
    path = tmp_path / "out"
    interrupted(path, RECORDS[:1], {"seed": 1})
    with pytest.raises(ResumeError, match=r"1 lines of out .*made otherwise"):
        OutputLines(path, {"seed": 2})
    assert finished(path, RECORDS, {"seed": 1}) == 1
    path.unlink()
    interrupted(path, RECORDS[:1], {"seed": 1})
    assert finished(path, RECORDS, {"seed": 2}, restart=True) == 0


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "out"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        OutputLines(path, {})
    with pytest.raises(OutputExistsError):
        OutputLines(tmp_path, {})
    with pytest.raises(OutputExistsError):
        OutputLines(Path(), {})
    path.unlink()
    with pytest.raises(OutputExistsError), OutputLines(path, {}) as lines:
        lines.write(RECORDS[0])
        path.write_text("precious")
        lines.publish()
    assert path.read_text() == "precious"


def test_two_runs_do_not_write_the_same_file(tmp_path):
    path = tmp_path / "out"
    with OutputLines(path, {}) as lines:
        with pytest.raises(OutputBusyError):
            OutputLines(path, {})
        lines.write(RECORDS[0])
        lines.publish()
