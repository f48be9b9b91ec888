from __future__ import annotations

import sys
import time

from bench import resume
from bench.resume import digests, ended_by_itself, kill_and_resume

APPEND = """
import pathlib, sys
out = pathlib.Path(sys.argv[1])
out.mkdir(exist_ok=True)
(out / "a").open("a").write("a")
"""
DIGEST = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_a_killed_run_is_run_again_and_compared(tmp_path, monkeypatch):
    out = tmp_path / "out"
    command = [sys.executable, "-c", APPEND, out]
    monkeypatch.setattr(resume, "ended_by_itself", lambda *_: False)
    one = kill_and_resume(command, out, 1.0, {"a": DIGEST})
    assert one.different == ()
    assert one.resumed is not None
    assert not out.exists()
    assert kill_and_resume(command, out, 1.0, {"a": "0", "c": "0"}).different == ("a", "c")


def test_a_run_and_its_children_are_killed(tmp_path):
    started = time.monotonic()
    child = "import time; time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    assert not ended_by_itself([sys.executable, "-c", program], 0.5)
    assert time.monotonic() - started < 30


def test_a_run_that_ends_before_it_is_killed_is_not_run_again(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-c", "import os, sys; os.mkdir(sys.argv[1])", out]
    assert kill_and_resume(command, out, 20.0, {}).resumed is None


def test_files_left_behind_count_as_a_difference(tmp_path):
    (tmp_path / ".left.partial").mkdir()
    (tmp_path / ".left.partial" / "journal").write_text("")
    assert list(digests(tmp_path)) == [".left.partial/journal"]
