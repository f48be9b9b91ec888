"""The static programs of an artifact as bytes, exported in a process of their own.

torch is needed to export them, and a conversion does without it; see
`targets.gaudi.export_program` for what the other process does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convert.error_reports import error_from_json
from convert.errors import OutOfMemoryError, UnsupportedError
from targets.ranks.shard import Shard

DECODE_FILE = "decode.pt2"
ERROR_FILE = "error.json"
_KILLED = -9


def prefill_file(tokens: int) -> str:
    """Name of the program that takes ``tokens`` tokens of a prompt."""
    return f"prefill-{tokens}.pt2"


@dataclass(frozen=True)
class TensorForm:
    """How a tensor of the checkpoint is stored.

    Args:
        dtype: As safetensors calls it: BF16, F32, F8_E4M3, ...
        shape: Its axes.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ProgramRequest:
    """The programs to export: one for a single token, and one for each bucket of a prompt.

    Args:
        config: config.json.
        tensors: Everything that the safetensors files hold, by name.
        batch: Sequences in a batch.
        context: Slots of the KV cache.
        buckets: Tokens that prompts are padded to.
        largest_code: Largest magnitude of an FP8 code; what is larger saturates.
        shard: The rank that the programs are of; None for the whole model.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, TensorForm]
    batch: int
    context: int
    buckets: tuple[int, ...]
    largest_code: float = 448.0
    shard: Shard | None = None

    @classmethod
    def from_json(cls, description: Mapping[str, Any]) -> ProgramRequest:
        """The reverse of `to_json`."""
        tensors = {
            name: TensorForm(form["dtype"], tuple(form["shape"]))
            for name, form in description["tensors"].items()
        }
        buckets = tuple(description["buckets"])
        shard = description["shard"] and Shard.from_json(description["shard"])
        return cls(**{**description, "tensors": tensors, "buckets": buckets, "shard": shard})

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        tensors = {name: asdict(form) for name, form in self.tensors.items()}
        shard = self.shard and self.shard.to_json()
        return {**vars(self), "config": dict(self.config), "tensors": tensors, "shard": shard}

    @property
    def tokens(self) -> dict[str, int]:
        """New tokens of each program, by the name of its file."""
        return {DECODE_FILE: 1, **{prefill_file(size): size for size in sorted(set(self.buckets))}}


def static_programs(request: ProgramRequest) -> dict[str, bytes]:
    """Export and audit every program.

    Returns:
        The bytes of each file, by its name; the same in every run.

    Raises:
        GraphCaptureError: A graph capture could not hold one.
        PassRefusedError: The model cannot be lowered to torch.
        OutOfMemoryError: The system killed the process that exports.
        UnsupportedError: It died otherwise; the message ends with its last words.
    """
    with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
        run = subprocess.run(
            [sys.executable, "-m", "targets.gaudi.export_program", "--out", scratch],
            input=json.dumps(request.to_json()).encode(),
            capture_output=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        report = Path(scratch, ERROR_FILE)
        if report.is_file():
            raise error_from_json(json.loads(report.read_text(encoding="utf-8")))
        if run.returncode != 0:
            raise _died(run.returncode, run.stderr)
        return {name: Path(scratch, name).read_bytes() for name in request.tokens}


def _died(code: int, stderr: bytes) -> OutOfMemoryError | UnsupportedError:
    if code == _KILLED:
        return OutOfMemoryError(
            "the process that exports static programs was killed by the system",
            expected="enough free memory",
            remedy="free some memory, or leave the programs out with graphs: false",
        )
    words = stderr.decode(errors="replace").strip().splitlines()[-1:]
    return UnsupportedError(
        "the static programs cannot be exported",
        found=" ".join(words) or f"exit code {code}",
        remedy="leave them out with graphs: false, and report the model",
    )
