"""The program: exit codes, messages instead of tracebacks, signals."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from convert import commands
from convert.__main__ import main
from convert.errors import GateError

ROOT = Path(__file__).resolve().parents[2]


def ending_with(monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(commands, "list_things", fail)
    return main(["list", "recipes"])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (GateError("too different"), 3, "too different"),
        (MemoryError(), 5, "memory ran out"),
        (OSError(errno.ENOSPC, "No space"), 5, "disk is full"),
        (PermissionError(errno.EACCES, "Denied", "/x/y"), 2, "/x/y cannot be used"),
        (FileExistsError(errno.EEXIST, "Exists", "/x/y"), 2, "/x/y cannot be used"),
        (OSError(errno.EIO, "Broken disk", "/x"), 1, "fault of Tricast"),
        (ValueError("odd"), 1, "fault of Tricast: ValueError: odd"),
    ],
)
def test_errors_become_exit_codes_without_tracebacks(monkeypatch, capsys, error, code, says):
    assert ending_with(monkeypatch, error) == code
    shown = capsys.readouterr().err
    assert says in shown
    assert "Traceback" not in shown


def test_debug_shows_the_traceback(monkeypatch):
    monkeypatch.setattr(commands, "list_things", lambda what: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["list", "recipes", "--debug"])


TERMINATED = """
import os, signal, sys
from convert import commands
from convert.__main__ import main
before = signal.getsignal(signal.SIGTERM)
def list_things(what):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            pass
    except Exception:
        os._exit(0)  # as a library does that tries one thing and goes on with another
commands.list_things = list_things
code = main(["list", "recipes"])
assert signal.getsignal(signal.SIGTERM) is before
sys.exit(code)
"""


def test_a_terminating_signal_ends_with_130():
    """In a process of its own: pytest's fault handler lends signals a stack that is too small once
    OpenVINO has used the matrix unit of a processor with AMX in the same process.
    """
    ended = subprocess.run(
        [sys.executable, "-c", TERMINATED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 130, ended.stderr
    assert "interrupted" in ended.stderr


@pytest.mark.parametrize("arguments", [["--nonsense"], ["run", "--threads", "0"], ["list"]])
def test_wrong_usage_is_exit_code_2(arguments, capsys):
    assert main(arguments) == 2


@pytest.mark.parametrize("program", [["-m", "convert"]])
def test_it_runs_as_a_module(program):
    ended = subprocess.run(
        [sys.executable, *program, "list", "nothing"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "cannot list 'nothing'" in ended.stderr


def test_a_program_of_its_own_is_not_interrupted_by_warnings_of_libraries(tmp_path):
    """transformers warns of a model type it does not know, which is no fault of the user's."""
    arguments = ["run", "golden/models/tiny-yuan2", "--no-gate", "--to", "openvino", "--out"]
    ended = subprocess.run(
        [sys.executable, "-m", "convert", *arguments, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "[transformers]" not in ended.stderr
