"""The original recorded by several workers, each of which runs some of the prompts.

Each loads the whole original. A worker must see the checkpoint and the folder of the recording
where this process does. A part that is there is not recorded again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert.errors import TricastError
from convert.workers import ThisProcess, Workers
from golden import memory, texts
from golden.format import read
from golden.gate import record_golden
from golden.parts import Part, join
from passes.calibration.blas import arithmetic

_FEWEST_PROMPTS = 2
"""Of a part: to load the model takes as long as a prompt or two."""

_LAYERS_SHARE = 8
"""A model that is loaded layer by layer is taken to need an eighth of its size."""


@dataclass(frozen=True)
class PartRecording:
    """Records a part: what a worker is given.

    Args:
        folder: Of the checkpoint.
        out: Of the recording that is made of all parts.
        prompts: The user's file of prompts as it is; None for the shipped ones.
        threads: Of torch: how it shares work decides the last bits.
        label: Name of the model.
        digest: Of the whole checkpoint.
        adapters: Folders of adapters, in order.
        layered: Whether one layer is in memory at a time.
        arithmetic: Of the machine whose bits are wanted.
    """

    folder: Path
    out: Path
    prompts: bytes | None
    threads: int
    label: str
    digest: str
    adapters: tuple[Path, ...]
    layered: bool
    arithmetic: str

    def path(self, part: Part) -> Path:
        """Where a part is kept. Its name is the same exactly if it would hold the same."""
        how = f"{self.arithmetic}-{self.threads}{'-layered' if self.layered else ''}"
        name = f".{self.out.stem}.part-{part.number}-of-{part.all_parts}-{how}{self.out.suffix}"
        return self.out.with_name(name)

    def is_there(self, part: Part) -> bool:
        """Whether a part is recorded already."""
        try:
            read(self.path(part))
        except TricastError:
            return False
        return True

    def __call__(self, part: Part) -> bool:
        """Record a part; False if this machine would compute other bits."""
        if arithmetic() != self.arithmetic:
            return False
        self.here(part)
        return True

    def here(self, part: Part) -> None:
        """Record a part, by this process.

        Raises:
            TricastError: As `golden.gate.record_golden` does.
        """
        with tempfile.TemporaryDirectory(prefix="tricast-") as scratch:
            prompts = None
            if self.prompts is not None:
                prompts = Path(scratch, "prompts.txt")
                prompts.write_bytes(self.prompts)
            record_golden(
                self.folder,
                self.path(part),
                prompts=prompts,
                threads=self.threads,
                label=self.label,
                digest=self.digest,
                adapters=self.adapters,
                layered=self.layered,
                part=part,
            )


def parts_for(workers: Workers, prompts: Path | None) -> tuple[Part, ...]:
    """The parts that workers are to record; none if this process is to record everything.

    Args:
        prompts: The user's prompts; None for the shipped ones.
    """
    if isinstance(workers, ThisProcess):
        return ()
    found = len(texts.prompts() if prompts is None else texts.prompts(prompts))
    count = min(workers.count, found // _FEWEST_PROMPTS)
    return tuple(Part(number, count) for number in range(count)) if count > 1 else ()


def record_parts(
    run: PartRecording, parts: tuple[Part, ...], workers: Workers, say: Callable[[str], None]
) -> None:
    """Record all parts and put them together: the bytes that one process would have written.

    Args:
        run: How to record one.
        parts: See `parts_for`.
        workers: Who records them.
        say: Told of parts that this process has to record itself.

    Raises:
        TricastError: Why a part cannot be recorded, or parts do not fit together.
    """
    left = [part for part in parts if not run.is_there(part)]
    for part, done in zip(left, workers.map(run, left, memory=_memory(run)), strict=True):
        if not done:
            say(
                f"record the original: part {part} is recorded here: the worker that it was given "
                "to has another kind of processor, or another numpy"
            )
            run.here(part)
    join([run.path(part) for part in parts], run.out)
    for part in parts:
        run.path(part).unlink(missing_ok=True)


def _memory(run: PartRecording) -> int:
    whole = 4 * memory.count_parameters(run.folder)
    return memory.OVERHEAD + (whole // _LAYERS_SHARE if run.layered else whole)
