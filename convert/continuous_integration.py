"""What continuous integration is told of a command: JUnit, annotations, a summary of the job."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from convert.known_errors import as_known
from convert.progress import Reporter
from convert.workflow_commands import annotation, on_github

if TYPE_CHECKING:
    from convert.errors import TricastError
    from convert.outcomes import Outcome

_MOST_ANNOTATIONS = 10
"""GitHub shows no more errors of one step."""

_SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"


class Collecting(Reporter):
    """Prints as usual, and remembers what was found of each artifact."""

    def __init__(self) -> None:
        super().__init__()
        self.outcomes: list[Outcome] = []

    def judged(self, outcome: Outcome) -> None:
        """Remember it."""
        self.outcomes.append(outcome)


@contextmanager
def reporting(command: str, junit: Path | None) -> Iterator[Reporter]:
    """A reporter for a command; at its end, and if it fails, what it was told is passed on.

    Args:
        command: Its name.
        junit: The file to write, if any; found to be writable before anything is done.

    Raises:
        UsageError: The file cannot be written.
    """
    if junit is None and not on_github():
        yield Reporter()
        return
    if junit is not None:
        _touch(junit)
    reporter, error = Collecting(), None
    try:
        yield reporter
    except BaseException as raised:
        error = _ending(raised)
        raise
    finally:
        _tell(command, reporter.outcomes, error, junit)


def _tell(
    command: str, outcomes: list[Outcome], error: TricastError | None, junit: Path | None
) -> None:
    from convert.job_summary import summary
    from convert.junit import as_xml

    beyond = _beyond(outcomes, error)
    if junit is not None:
        partial = junit.with_name(f".{junit.name}.partial")
        partial.write_bytes(as_xml(command, outcomes, beyond))
        partial.replace(junit)
    if not on_github():
        return
    for line in annotated(command, outcomes, beyond)[:_MOST_ANNOTATIONS]:
        sys.stderr.write(f"{line.encode(errors='replace').decode()}\n")
    sys.stderr.flush()
    place = os.environ.get(_SUMMARY_VARIABLE)
    if place:
        with Path(place).open("ab") as file:
            file.write(summary(command, outcomes, beyond).encode(errors="replace"))


def _ending(raised: BaseException) -> TricastError:
    from convert.errors import InterruptedRunError, TricastError

    if not isinstance(raised, Exception):
        return InterruptedRunError("interrupted")
    return as_known(raised) or TricastError(f"{type(raised).__name__}: {raised}")


def _beyond(outcomes: list[Outcome], error: TricastError | None) -> str | None:
    """What ended a command, unless that is an artifact that failed."""
    told = any(outcome.failures for outcome in outcomes)
    return None if error is None or (told and error.exit_code == _GATE) else str(error)


def annotated(command: str, outcomes: list[Outcome], error: str | None) -> list[str]:
    """Workflow commands: an error for each failure, a warning for what was not checked."""
    lines = [] if error is None else [annotation("error", error, title=command)]
    for outcome in outcomes:
        for failure in outcome.failures:
            title = f"{outcome.artifact} does not pass"
            lines.append(annotation("error", failure, title=title))
    for outcome in outcomes:
        if outcome.skipped:
            title = f"{outcome.artifact} is unverified"
            lines.append(annotation("warning", outcome.skipped, title=title))
    return lines


def _touch(path: Path) -> None:
    """Find out early that a file cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab"):
        pass


_GATE = 3
"""Exit code of `convert.errors.GateError`."""
