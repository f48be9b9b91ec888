from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.contest import Contestant, Result, forget_pages, hold, table
from bench.measure import CommandFailedError, Usage


def touching(path, log):
    program = f"open({str(path)!r}, 'x').close(); open({str(log)!r}, 'a').write({path.name!r})"
    return [sys.executable, "-c", program]


def test_contestants_take_turns_and_leave_nothing(tmp_path):
    log = tmp_path / "log"
    outputs = [tmp_path / "a", tmp_path / "b"]
    contestants = [
        Contestant(path.name, "tool", (touching(path, log),), (path,)) for path in outputs
    ]
    results = hold(contestants, 2)
    assert log.read_text() == "abab"
    assert [result.work for result in results] == ["a", "b"]
    assert not any(path.exists() for path in outputs)


def test_what_a_failed_command_made_is_removed(tmp_path):
    made = tmp_path / "folder"
    program = f"import os; os.mkdir({str(made)!r}); raise SystemExit(1)"
    with pytest.raises(CommandFailedError):
        Contestant("work", "tool", ([sys.executable, "-c", program],), (made,)).run()
    assert not made.exists()


def test_a_contestant_that_fails_leaves_the_contest(tmp_path, capsys):
    fine = [sys.executable, "-c", ""]
    failing = [sys.executable, "-c", "raise SystemExit('the reason')"]
    results = hold([Contestant("a", "t", (failing,), ()), Contestant("b", "t", (fine,), ())], 2)
    assert [result.work for result in results] == ["b"]
    assert capsys.readouterr().err.count("the reason") == 1


def test_the_table_has_ratios_to_the_copy_and_to_ours():
    results = [
        Result("cp", "cp", Usage(2.0, 0.0, 1.0, 1_000_000)),
        Result("q", "Tricast", Usage(3.0, 4.0, 1.0, 500_000_000)),
        Result("q", "other", Usage(12.0, 9.0, 1.0, 900_000_000)),
    ]
    rows = table(results, "cp").splitlines()
    assert rows[3] == "| q | Tricast | 3.00 | 4.00 | 1.00 | 500 | 1.50 |  |"
    assert rows[4] == "| q | other | 12.00 | 9.00 | 1.00 | 900 | 6.00 | 4.0 |"


def test_a_cold_contestant_starts_without_the_pages_of_its_files(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"w" * 5000)
    dropped = []

    def advise(descriptor, offset, length, advice):
        assert (offset, length, advice) == (0, 0, os.POSIX_FADV_DONTNEED)
        dropped.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))

    monkeypatch.setattr(os, "posix_fadvise", advise)
    fine = [sys.executable, "-c", ""]
    Contestant("work", "tool", (fine,), (), cold=(tmp_path / "model",)).run()
    assert dropped == [str(tmp_path / "model" / "weights")]
    assert forget_pages(tmp_path / "model" / "weights") == 1
