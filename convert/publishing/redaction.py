"""Keeps tokens out of every text: errors, logs, reports."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

HIDDEN = "***"

_SHORTEST_SECRET = 4
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(?<=\S)\?[^\s'\"<>]*=[^\s'\"<>]*")
_SCHEME = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
_KNOWN_FORMS = re.compile(r"\b(hf_|ms-|ghp_|gho_|github_pat_)[A-Za-z0-9_-]{8,}")
_LIBRARIES = ("huggingface_hub", "modelscope_hub", "httpx2", "httpx", "urllib3", "requests")


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


class _Filter(logging.Filter):
    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._redactor.clean(record.getMessage()), ()
        return True


@contextmanager
def clean_logs(redactor: Redactor) -> Iterator[None]:
    """Whatever the libraries that talk to hubs log passes the redactor."""
    loggers = [logging.getLogger(), *map(logging.getLogger, _LIBRARIES)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    if logging.lastResort is not None:
        handlers.add(logging.lastResort)
    redacting = _Filter(redactor)
    for handler in handlers:
        handler.addFilter(redacting)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(redacting)
