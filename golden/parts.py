"""A recording that is made in parts, each of some of the prompts, and put together again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convert.errors import BrokenInputError, UsageError
from golden.format import Golden, Header, prompts_hash, read, write

Prompt = TypeVar("Prompt")


@dataclass(frozen=True)
class Part:
    """Every ``all_parts``-th prompt, from the prompt ``number`` on.

    Args:
        number: Counted from 0; the first part also has the continuation of the sample.
        all_parts: How many there are.
    """

    number: int
    all_parts: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Read what `str` gives."""
        number, _, all_parts = text.partition("/")
        return cls(int(number), int(all_parts))

    def __str__(self) -> str:
        return f"{self.number}/{self.all_parts}"

    def of(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts of this part.

        Raises:
            UsageError: There are fewer prompts than parts.
        """
        found = list(prompts[self.number :: self.all_parts])
        if not found:
            raise UsageError(
                f"{len(prompts)} prompts that hold any token are too few for "
                f"{self.all_parts} parts",
                remedy="use fewer workers, or prompts that are no blanks",
            )
        return found


def join(parts: Sequence[Path], out: Path) -> None:
    """Write the recording that `golden.record` would write of all prompts.

    Args:
        parts: Recordings of each part, in order.
        out: The golden file.

    Raises:
        BrokenInputError: A part is damaged, or was recorded with something else than the others.
        DiskFullError: The file system has no room.
    """
    read_parts = [read(path) for path in parts]
    headers = [_common(part.header) for part in read_parts]
    for path, header in zip(parts, headers, strict=True):
        if header != headers[0]:
            raise BrokenInputError(
                f"{path.name} was recorded otherwise than {parts[0].name}",
                expected=_described(read_parts[0].header),
                found=_described(header),
                remedy="have the same packages and the same checkpoint on all workers, remove "
                "these files and run the same command again",
            )
    count = sum(len(part.prompts) for part in read_parts)
    places = [divmod(prompt, len(parts))[::-1] for prompt in range(count)]
    prompts = [read_parts[part].prompts[index] for part, index in places]
    header = dataclasses.replace(read_parts[0].header, prompts_sha256=prompts_hash(prompts))
    write(out, header, prompts, _logits(read_parts, places))


def _logits(
    parts: Sequence[Golden], places: Sequence[tuple[int, ...]]
) -> Iterator[NDArray[np.float32]]:
    for part, index in places:
        yield parts[part].logits(index)


def _common(header: Header) -> Header:
    return dataclasses.replace(header, prompts_sha256="", continuation=None)


def _described(header: Header) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in header.versions.items())
    return f"{header.model.label} by {versions}"
