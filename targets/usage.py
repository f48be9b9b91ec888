"""How to run an artifact in its runtime, said in a few steps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UsageStep:
    """One step.

    Args:
        text: What it does, one sentence in Markdown; holds no name of a file or model.
        code: What to type.
        language: Of the code, as Markdown names it.
    """

    text: str
    code: str
    language: str = "sh"
