"""The gate's child processes: real ones that succeed, refuse, crash, hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convert.errors import (
    BrokenInputError,
    GoldenMismatchError,
    MissingFileError,
    OutOfMemoryError,
    PassRefusedError,
    RunnerCrashedError,
)
from golden import compare, gate
from golden.format import read
from golden.gate import ROOT, record_golden, run_gate, run_program
from golden.thresholds import thresholds_for
from tests.golden.fakes import FakeRunner, FakeTarget
from tests.support.recorders import run_here

CHILD = "tests.golden.child"
LIMITS = thresholds_for("f32")


@pytest.fixture(scope="session")
def recording(checkpoint, tmp_path_factory):
    """Recorded by the real program in a real child."""
    folder = tmp_path_factory.mktemp("golden")
    prompts = folder / "prompts.txt"
    prompts.write_text("he said\n---\none two\n")
    path = folder / "tiny.golden"
    record_golden(checkpoint, path, threads=1, prompts=prompts, label="tiny", digest="d")
    return path


def ended(pid: int) -> bool:
    """Whether a process is gone (or a zombie that nobody has waited for)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def test_recorded_in_a_child(recording):
    golden = read(recording)
    assert (golden.header.model.label, golden.header.model.digest) == ("tiny", "d")
    assert len(golden.prompts) == 2


def test_a_good_artifact_passes(recording, checkpoint, monkeypatch):
    monkeypatch.setattr(gate, "COMPARE", CHILD)
    monkeypatch.setattr(gate, "RECORD_STORED", CHILD)
    result = run_gate(checkpoint, "fake", recording, LIMITS, 1, digest="d", original=checkpoint)
    assert result.passed
    assert result.overall.top1 == 1
    assert result.faithful.mean_kld < 1e-9


def test_an_original_that_does_not_fit_is_left_out(recording, checkpoint, monkeypatch):
    def run(module, arguments, *, crash):
        if module == gate.RECORD_STORED:
            raise OutOfMemoryError("too large")
        return run_here(module, arguments)

    monkeypatch.setattr(gate, "run_program", run)
    monkeypatch.setattr(compare, "target", lambda name: FakeTarget(FakeRunner(checkpoint)))
    result = run_gate(checkpoint, "fake", recording, LIMITS, 1, original=checkpoint)
    assert result.passed
    assert result.faithful is None


def test_errors_keep_their_class(recording, checkpoint, monkeypatch):
    monkeypatch.setattr(gate, "COMPARE", CHILD)
    with pytest.raises(GoldenMismatchError, match="another model") as caught:
        run_gate(checkpoint, "fake", recording, LIMITS, 1, digest="other")
    assert caught.value.exit_code == 2
    assert "checkpoint digest other" in caught.value.expected


def test_errors_of_the_recorder_keep_their_class(tmp_path):
    with pytest.raises(MissingFileError, match=r"config\.json"):
        record_golden(tmp_path, tmp_path / "out", threads=1)


def test_an_aborting_runtime_is_an_error_with_its_last_words(recording, checkpoint, monkeypatch):
    monkeypatch.setattr(gate, "COMPARE", CHILD)
    monkeypatch.setenv("TRICAST_TEST_DIES", "1")
    with pytest.raises(RunnerCrashedError, match="SIGABRT") as caught:
        run_gate(checkpoint, "fake", recording, LIMITS, 1)
    assert caught.value.exit_code == 3
    assert "GGML_ASSERT failed: the last words" in caught.value.what


@pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV"])
def test_signals_are_named(name):
    with pytest.raises(RunnerCrashedError, match=f"signal {name}(.|\n)*the last words"):
        run_program(CHILD, [name], crash=RunnerCrashedError)


def test_killed_by_the_system_means_memory():
    with pytest.raises(OutOfMemoryError, match="killed"):
        run_program(CHILD, ["SIGKILL"], crash=RunnerCrashedError)


def test_an_unexpected_exception_is_a_crash():
    with pytest.raises(BrokenInputError, match="RuntimeError: a binding gave up"):
        run_program(CHILD, ["exception"], crash=BrokenInputError)


def test_errors_with_other_constructors_survive():
    with pytest.raises(PassRefusedError, match=r"no such shape \(at node 'node_7'\)"):
        run_program(CHILD, ["refuse"], crash=RunnerCrashedError)


def test_the_working_directory_does_not_shadow_the_packages(tmp_path, monkeypatch):
    (tmp_path / "golden.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    assert run_program(CHILD, ["fine"], crash=RunnerCrashedError) == {"result": "fine"}


# A job started in the background inherits a SIGINT that is ignored.
PARENT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from convert.errors import RunnerCrashedError
from golden.gate import run_program
run_program("tests.golden.child", ["sleep", "--pid", sys.argv[1]], crash=RunnerCrashedError)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_no_orphan_however_the_parent_ends(tmp_path, name):
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(pid_file)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    with parent:
        until(lambda: pid_file.exists() and pid_file.read_text(), seconds=60)
        child = int(pid_file.read_text())
        assert not ended(child)
        os.kill(parent.pid, getattr(signal, name))
        until(lambda: ended(child))
        _, errors = parent.communicate(timeout=20)
    assert parent.returncode != 0
    assert (b"KeyboardInterrupt" in errors) == (name == "SIGINT")
