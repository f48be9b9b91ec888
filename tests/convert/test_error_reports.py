"""Errors cross the process boundary whole."""

from __future__ import annotations

import json

import pytest

from convert import errors
from convert.error_reports import error_from_json, error_to_json
from convert.errors import GraphCaptureError, PassRefusedError, TricastError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, TricastError)
]
OTHERWISE_MADE = {
    PassRefusedError: lambda: PassRefusedError("why", "where"),
    GraphCaptureError: lambda: GraphCaptureError("decode.pt2", "why", "where", remedy="do"),
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_round_trips(kind):
    made = OTHERWISE_MADE.get(
        kind, lambda: kind("what", expected="this", found="that", remedy="do")
    )
    error = made()
    back = error_from_json(json.loads(json.dumps(error_to_json(error))))
    assert type(back) is kind
    assert (str(back), back.exit_code) == (str(error), error.exit_code)


def test_an_unknown_class_is_still_an_error():
    report = {"class": "annotations", "what": "w", "expected": None, "found": None, "remedy": None}
    assert type(error_from_json(report)) is TricastError
