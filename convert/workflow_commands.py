"""Workflow commands of GitHub Actions: annotations, and lines that cannot be taken for one.

The runner of a workflow reads what a step prints line by line, and obeys lines that begin with
``::command`` and, in an older form, ``##[command`` anywhere in a line. Names of tensors and texts
of tokenizers come from strangers, so they must be neither.
Source: docs.github.com, "Workflow commands for GitHub Actions"; ``ActionCommand.cs`` of
github.com/actions/runner.
"""

from __future__ import annotations

import os
import re

_NOTHING_SEEN = "\N{WORD JOINER}"
_BEGINS = re.compile(r"(^|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029])(\s*:)(?=:)")


def on_github() -> bool:
    """Whether this runs as a step of a workflow."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def harmless(text: str) -> str:
    """The same to the eye, but no line of it is a command."""
    broken = _BEGINS.sub(rf"\1\2{_NOTHING_SEEN}", text)
    return broken.replace("##[", f"##{_NOTHING_SEEN}[")


def annotation(
    kind: str, message: str, *, title: str, file: str | None = None, line: int | None = None
) -> str:
    """The command that shows a message beside the change, or on top of the run.

    Args:
        kind: ``error``, ``warning`` or ``notice``.
        message: Any text; line breaks are kept.
        title: Any text.
        file: That it is about.
        line: Of the file, from 1.
    """
    given = {"title": title, "file": file, "line": None if line is None else str(line)}
    properties = ",".join(
        f"{name}={_property(value)}" for name, value in given.items() if value is not None
    )
    return f"::{kind} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
