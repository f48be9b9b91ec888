import pytest

from convert.publishing.redaction import Redactor
from convert.publishing.remote_errors import refused, remedy


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "not sent again"), (503, "not sent again"), (401, "log in: LOGIN"),
        (403, "or LOGIN"), (404, "check the name"), (412, "meanwhile"), (413, "of that size"),
        (429, "pause"), (418, "ask who runs"),
    ],
)  # fmt: skip
def test_there_is_always_something_to_do(status, words):
    assert words in remedy(status, "LOGIN")


def test_an_error_shows_no_secret_and_one_line():
    redactor = Redactor()
    redactor.hide("s3cret")
    error = refused("x", ValueError("with s3cret\nand more"), 500, "LOGIN", redactor)
    assert error.found == "ValueError: with ***"
    assert len(refused("x", ValueError("a" * 999), 500, "", redactor).found) == 300
