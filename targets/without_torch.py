"""Keeps torch out of a process: of this one, or of one that a function is called in.

transformers imports torch, if it can, before it loads a tokenizer: that takes longer than all the
rest of a conversion of a small model, and as much memory.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from convert.errors import UnsupportedTokenizerError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def call(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """What ``function``, found by its module and name, returns or raises.

    Raises:
        UnsupportedTokenizerError: The process died.
    """
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        answer = Path(scratch, "answer")
        run = subprocess.run(
            [sys.executable, "-m", "targets.without_torch", str(answer)],
            input=pickle.dumps((function, arguments, named)),
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if not answer.is_file():
            words = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise UnsupportedTokenizerError(
                "the process that reads the tokenizer died",
                found=" ".join(words) or f"exit code {run.returncode}",
            )
        result, error = pickle.loads(answer.read_bytes())
    if error is not None:
        raise error
    returned: Result = result
    return returned


def hide_torch() -> None:
    """Let nothing import torch in this process from now on; if it is imported, it stays."""
    # How the import system is told that there is no such module.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    # transformers would advise to install it.
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")


def main() -> None:
    """Read a function and its arguments from standard input, write the answer to a file."""
    hide_torch()
    outcome: tuple[Any, Exception | None]
    try:
        function, arguments, named = pickle.load(sys.stdin.buffer)
        outcome = function(*arguments, **named), None
    except Exception as error:
        outcome = None, error
    written = Path(sys.argv[1])
    partial = written.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(outcome))
    partial.replace(written)


if __name__ == "__main__":
    main()
