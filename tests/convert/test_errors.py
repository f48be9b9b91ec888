"""Every error says what to do and ends the program with the code that is documented."""

from __future__ import annotations

import inspect
import pickle

import pytest

from convert import errors

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, errors.TricastError)
]


def test_an_error_shows_what_it_knows():
    error = errors.UsageError("no such thing", expected="a", found="b", remedy="c")
    assert str(error) == "no such thing\n  expected: a\n  found: b\n  to do: c"
    assert str(errors.UsageError("bare")) == "bare"


def test_what_an_input_says_at_length_is_shortened():
    said = str(errors.BrokenInputError("a" * 100_000, found="b" * 100_000 + "!"))
    assert len(said) < 25_000
    assert said.endswith("b!")
    assert " ... " in said


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_a_documented_exit_code_and_meaning(kind):
    assert kind.exit_code in {1, 2, 3, 4, 5, 6, 130}
    assert inspect.getdoc(kind)


def test_a_refusing_pass_names_the_node():
    error = errors.PassRefusedError("has a cache already", "layer.0")
    assert "layer.0" in str(error)
    assert error.exit_code == 4


@pytest.mark.parametrize(
    "error",
    [
        errors.MissingFileError("no file", expected="a", found="b", remedy="c"),
        errors.PassRefusedError("has a cache already", "layer.0"),
        errors.GraphCaptureError("model.pt2", "loops", "while", remedy="unroll it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_another_process_is_the_same(error):
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))
