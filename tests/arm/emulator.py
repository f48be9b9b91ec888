"""Matrix products by ggml's Arm kernels, run by an emulator."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.arm.build import EMULATOR, PROGRAM

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """A product of a stored matrix and float32 inputs.

    Args:
        kind: Number of the matrix's type in ggml.
        stored: Its bytes.
        rows: Rows of the matrix.
        inputs: ``[tokens, columns]``.
        repacked: Whether the matrix is put into the order that ggml prefers on the machine.
    """

    kind: int
    stored: bytes
    rows: int
    inputs: Floats
    repacked: bool

    def packed(self) -> bytes:
        """As products.c reads it."""
        tokens, columns = self.inputs.shape
        head = (self.repacked, self.kind, columns, self.rows, tokens, len(self.stored))
        return struct.pack("<6q", *head) + self.stored + self.inputs.tobytes()


@dataclass(frozen=True)
class Answers:
    """What ggml answered.

    Args:
        products: ``[tokens, rows]`` of each case, None where ggml has none.
        features: What it uses of the machine.
        layouts: The orders into which it repacked matrices, such as ``q4_0_8x8``.
    """

    products: tuple[Floats | None, ...]
    features: str
    layouts: frozenset[str]


def run(cases: Sequence[Case], vector_bytes: int) -> Answers:
    """All products, on a machine whose SVE registers have so many bytes."""
    machine = f"max,sve{8 * vector_bytes}=on,sve-default-vector-length={vector_bytes}"
    ended = subprocess.run(
        [EMULATOR, "-cpu", machine, str(PROGRAM)],
        input=b"".join(case.packed() for case in cases),
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode(errors="replace")[-2000:]
    data, at, products = ended.stdout, 0, []
    for case in cases:
        (possible,) = struct.unpack_from("<q", data, at)
        at += 8
        shape = (len(case.inputs), case.rows)
        size = 4 * shape[0] * shape[1] if possible else 0
        found = np.frombuffer(data[at : at + size], np.float32)
        products.append(found.reshape(shape) if possible else None)
        at += size
    assert at == len(data)
    features, *log = ended.stderr.decode().strip().splitlines()
    layouts = frozenset(line.split()[-1] for line in log if line.startswith("repack:"))
    return Answers(tuple(products), features, layouts)
