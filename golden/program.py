"""What the two programs share: how they report, and that they never outlive their parent."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convert.error_reports import error_to_json
from convert.errors import InterruptedRunError, OutOfMemoryError, TricastError

Report = dict[str, Any]


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Options of both programs."""
    parser.add_argument("--threads", type=positive, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result, or the error")
    parser.add_argument("--attached", action="store_true", help=argparse.SUPPRESS)


def positive(text: str) -> int:
    """An option's value that must be a whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return value


def run(body: Callable[[], tuple[int, Report]], options: argparse.Namespace) -> int:
    """Run a program's body and report what came of it.

    Args:
        body: Gives the exit code and a JSON object, or raises a TricastError.
        options: Parsed command line with the common options.

    Returns:
        The exit code. A native crash of a runtime never gets here: the process dies, and its
        parent sees a signal and no report.
    """
    if options.attached:
        _end_with_parent()
    try:
        code, report = body()
    except KeyboardInterrupt:
        code, report = _failed(InterruptedRunError("interrupted"))
    except MemoryError:
        code, report = _failed(OutOfMemoryError("the machine ran out of memory"))
    except TricastError as error:
        code, report = _failed(error)
    if options.json is not None:
        text = json.dumps(report, indent=2, sort_keys=True, allow_nan=False) + "\n"
        options.json.write_text(text, encoding="utf-8")
    return code


def _failed(error: TricastError) -> tuple[int, Report]:
    sys.stderr.write(f"{error}\n")
    return error.exit_code, {"error": error_to_json(error)}


def _end_with_parent() -> None:
    """End this process when the parent's end of standard input closes, however it died."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(InterruptedRunError.exit_code)

    threading.Thread(target=wait, daemon=True).start()
