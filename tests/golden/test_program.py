"""What ends a program early is reported, and its options are checked."""

from __future__ import annotations

import argparse
import json

import pytest

from golden.program import positive, run


@pytest.mark.parametrize(
    ("raised", "code", "name"),
    [
        (KeyboardInterrupt(), 130, "InterruptedRunError"),
        (MemoryError(), 5, "OutOfMemoryError"),
    ],
)
def test_interruption_and_memory_are_reported(tmp_path, capsys, raised, code, name):
    def body():
        raise raised

    report = tmp_path / "report"
    assert run(body, argparse.Namespace(attached=False, json=report)) == code
    assert json.loads(report.read_text())["error"]["class"] == name


@pytest.mark.parametrize("text", ["0", "-1"])
def test_threads_are_positive(text):
    assert positive("2") == 2
    with pytest.raises(argparse.ArgumentTypeError):
        positive(text)
