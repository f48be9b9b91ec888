"""The gate's programs in this process, where torch and transformers are loaded already.

A child process spends most of its time on importing them. That the programs work as children is
proven by tests/golden/test_gate.py, and by the run that is repeated in
tests/convert/test_pipeline.py.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest

from convert.error_reports import error_from_json
from golden import gate
from golden.program import Report


def run_here(module: str, arguments: Sequence[str]) -> Report:
    """What `golden.gate.run_program` gives or raises, from the program's own ``main``."""
    import torch

    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")  # as the programs do, but not for good
        report = Path(scratch, "report.json")
        try:
            import_module(module).main([*arguments, "--json", str(report)])
        finally:
            torch.set_num_threads(threads)
        found: Report = json.loads(report.read_text(encoding="utf-8"))
    if "error" in found:
        raise error_from_json(found["error"])
    return found


def record_here(patch: pytest.MonkeyPatch) -> None:
    """Let the gate record originals in this process; artifacts still run in children."""
    in_a_child = gate.run_program

    def run(module, arguments, *, crash):
        if module in (gate.RECORD, gate.RECORD_STORED):
            return run_here(module, arguments)
        return in_a_child(module, arguments, crash=crash)

    patch.setattr(gate, "run_program", run)
