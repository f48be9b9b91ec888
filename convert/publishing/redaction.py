"""Keeps tokens out of every text: errors, logs, reports."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HIDDEN = "***"

_SHORTEST_SECRET = 4
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(?<=\S)\?[^\s'\"<>]*=[^\s'\"<>]*")
_SCHEME = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_KNOWN_FORMS = re.compile(r"\b(hf_|ms-|ghp_|gho_|github_pat_)[A-Za-z0-9_-]{8,}")


class Redactor:
    """Replaces the secrets that it has been told of, and whatever looks like one."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()

    def hide(self, secret: str | None) -> None:
        """Never show this again. Too short a word is no secret, and would spoil texts."""
        if secret and len(secret) >= _SHORTEST_SECRET:
            self._secrets.add(secret)

    def clean(self, text: str) -> str:
        """The text without secrets, users in URLs, and queries of URLs, which may be signed."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        text = _USER_IN_URL.sub(f"{HIDDEN}@", text)
        text = _QUERY.sub(f"?{HIDDEN}", text)
        text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
        return _KNOWN_FORMS.sub(rf"\1{HIDDEN}", text)


@contextmanager
def clean_logs(redactor: Redactor) -> Iterator[None]:
    """Whatever is logged meanwhile passes the redactor, by whichever logger and handler."""
    make = logging.getLogRecordFactory()

    def make_clean(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        record.msg, record.args = redactor.clean(record.getMessage()), ()
        if record.exc_info and record.exc_info[0] is not None:
            lines = traceback.format_exception(*record.exc_info)
            record.exc_info, record.exc_text = None, redactor.clean("".join(lines))
        return record

    logging.setLogRecordFactory(make_clean)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
