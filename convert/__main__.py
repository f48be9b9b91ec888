"""Runs the command line and turns errors into exit codes: the program `convert`, `tricast`."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from convert.errors import InterruptedRunError, TricastError
from convert.known_errors import as_known
from convert.workflow_commands import harmless, on_github


class _Ended(BaseException):
    """A signal asked the program to end. Not an `Exception`: libraries pass over those."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; by default those of the process. ``--debug``,
            anywhere, shows the traceback of an error.

    Returns:
        The exit code: 0, or that of the error (see `convert.errors`).
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        with _signals_as_errors():
            return _invoke([argument for argument in given if argument != "--debug"])
    except (_Ended, Exception) as error:
        if debug and not isinstance(error, _Ended):
            raise
        known = _as_known(error)
        said = f"error: {known}"
        print(harmless(said) if on_github() else said, file=sys.stderr)
        return known.exit_code


def _invoke(arguments: list[str]) -> int:
    from convert.cli import app

    try:
        app(arguments, prog_name="convert")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


@contextmanager
def _signals_as_errors() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM unwind the program, whatever it is in the middle of."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise _Ended

    before = {number: signal.signal(number, interrupt) for number in _ENDING_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _as_known(error: _Ended | Exception) -> TricastError:
    """What the user is told of an error."""
    if isinstance(error, _Ended):
        return InterruptedRunError("interrupted; nothing unfinished has a final name")
    known = as_known(error)
    if known is not None:
        return known
    return TricastError(
        f"this is a fault of Tricast: {type(error).__name__}: {error}",
        remedy="run again with --debug and report what it prints",
    )


def program() -> int:
    """`main` for a process that does nothing else: it spares the garbage collector's time."""
    # Its warnings speak to those who call it, of models that it loads itself.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    gc.set_threshold(100_000)
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(program())
