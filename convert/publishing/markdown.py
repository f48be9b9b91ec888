"""Puts texts of strangers into Markdown so that they show as they are and do nothing."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from markupsafe import Markup

_SPECIAL = re.compile(r"([\\`*_\[\]()#|~!@$])")
_LINK = re.compile(r"(?i)(?<=[a-z])(?=://)|(?<=www)(?=\.)")
_WORD = re.compile(r"[A-Za-z0-9+-]*")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def inline(value: Any) -> Markup:
    """Part of a sentence or a cell of a table: one line, no markup, no link, no HTML."""
    if isinstance(value, Markup):
        return value
    text = _SPECIAL.sub(r"\\\1", one_line(str(value)))
    for character, entity in _ENTITIES.items():
        text = text.replace(character, entity)
    # A backslash before punctuation is not shown, and ends what would become a link.
    return Markup(_LINK.sub("\\\\", text))


def code(value: Any) -> Markup:
    """A code span, also where the text has backticks or stands in a table."""
    text = one_line(str(value))
    if "|" in text:
        # A bar ends a cell even inside a code span.
        return Markup(f"<code>{_as_entities(text)}</code>")
    ticks = "`" * (1 + _longest_run(text, "`"))
    padded = f" {text} " if text.startswith("`") or text.endswith("`") or not text else text
    return Markup(f"{ticks}{padded}{ticks}")


def fenced(value: Any, language: str = "") -> Markup:
    """A block of code whose fence is longer than any in the text."""
    text = "".join(
        character for character in str(value) if character == "\n" or not _is_control(character)
    )
    fence = "`" * max(3, 1 + _longest_run(text, "`"))
    tongue = language if _WORD.fullmatch(language) else ""
    return Markup(f"{fence}{tongue}\n{text.rstrip()}\n{fence}")


def one_line(text: str) -> str:
    """Without line breaks, control characters and runs of spaces."""
    return " ".join("".join(" " if _is_control(each) else each for each in text).split())


def _is_control(character: str) -> bool:
    """Whether it ends lines, moves the cursor, or turns the direction of what follows."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _longest_run(text: str, character: str) -> int:
    return max(map(len, re.findall(f"{re.escape(character)}+", text)), default=0)


def _as_entities(text: str) -> str:
    return "".join(each if each.isalnum() or each == " " else f"&#{ord(each)};" for each in text)
