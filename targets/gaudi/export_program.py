"""Exports the static programs of an artifact from its configuration alone.

Program: ``python -m targets.gaudi.export_program --out FOLDER < DESCRIPTION``, for a process that
is to stay without torch; see `targets.gaudi.programs`. The description is a JSON object with the
fields of `ProgramRequest`. What went wrong is written to ``error.json`` in the folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.error_reports import error_to_json
from convert.errors import TricastError
from targets.gaudi.programs import ERROR_FILE, ProgramRequest


def export_programs(request: ProgramRequest, out: Path) -> None:
    """Export and audit every program, and write it into ``out``.

    Raises:
        GraphCaptureError: A graph capture could not hold one.
        UnsupportedError: The model cannot be lowered.
    """
    from targets.gaudi.audit import audit
    from targets.gaudi.export import export, static_graph, to_bytes

    for name, tokens in request.tokens.items():
        model = static_graph(
            request.config,
            batch=request.batch,
            tokens=tokens,
            context=request.context,
            shard=request.shard,
        )
        program = export(model, request.tensors, request.largest_code)
        audit(program, name)
        (out / name).write_bytes(to_bytes(program))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m targets.gaudi.export_program")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args(arguments)
    description: Mapping[str, Any] = json.load(sys.stdin)
    try:
        export_programs(ProgramRequest.from_json(description), options.out)
    except TricastError as error:
        report = json.dumps(error_to_json(error))
        (options.out / ERROR_FILE).write_text(report, encoding="utf-8")
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
