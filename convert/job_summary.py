"""The summary of a job on GitHub: a table of artifacts, in Markdown that no name can break."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.outcomes import Outcome

_COLUMNS = ("mean KL", "top-1 agreement", "perplexity ratio", "stored weights")
_LONGEST = 2000
"""Characters of one message."""


def summary(command: str, outcomes: Sequence[Outcome], error: str | None) -> str:
    """A heading, what ended the command, a row an artifact, and each failure."""
    parts = [f"### {_plain(command)}"]
    if error is not None:
        parts.append(_block(error))
    if outcomes:
        parts.append(_table(outcomes))
    for outcome in outcomes:
        if outcome.failures:
            listed = "\n".join(f"- {_plain(failure)}" for failure in outcome.failures)
            parts.append(f"**{_plain(outcome.artifact)}** does not pass:\n\n{listed}")
    return "\n\n".join(parts) + "\n\n"


def _table(outcomes: Sequence[Outcome]) -> str:
    rows = [("artifact", "verdict", "bytes", *_COLUMNS), ("---", "---", *["--:"] * 5)]
    for outcome in outcomes:
        found = {check.name: check for check in outcome.checks}
        figures = []
        for name in _COLUMNS:
            check = found.get(name)
            known = check is not None and check.value is not None and check.limit is not None
            figures.append(f"{check.value:.4g} ({check.limit:.4g})" if check and known else "")
        nbytes = "" if outcome.nbytes is None else f"{outcome.nbytes:,}"
        rows.append((_plain(outcome.artifact), _verdict(outcome), nbytes, *figures))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _verdict(outcome: Outcome) -> str:
    if outcome.failures:
        return "**failed**"
    return "unverified" if outcome.skipped else "passed"


def _plain(text: str) -> str:
    """One line in which nothing is markup: every sign becomes its number."""
    line = " ".join(text.split())[:_LONGEST]
    return re.sub(r"[^\w\s.,/+=%-]|_", lambda sign: f"&#{ord(sign[0])};", line)


def _block(text: str) -> str:
    """Lines as they are."""
    return f"<pre>{html.escape(text[:_LONGEST])}</pre>".replace("\n", "<br>")
