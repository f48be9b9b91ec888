"""Errors cross the process boundary whole."""

from __future__ import annotations

import argparse
import json

import pytest

from convert import errors
from convert.errors import PassRefusedError, TricastError
from golden.program import error_from_json, error_to_json, positive, run

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, TricastError)
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_round_trips(kind):
    error = (
        PassRefusedError("why", "where")
        if kind is PassRefusedError
        else kind("what", expected="this", found="that", remedy="do")
    )
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(back) is kind
    assert (str(back), back.exit_code) == (str(error), error.exit_code)


def test_an_unknown_class_is_still_an_error():
    report = {"class": "annotations", "what": "w", "expected": None, "found": None, "remedy": None}
    assert type(error_from_json(report)) is TricastError


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
