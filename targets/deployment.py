"""What a model needs on the devices it is to run on: bytes by kind, and whether they are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import DoesNotFitError

if TYPE_CHECKING:
    from convert.architectures.base import DecoderConfig

_USUAL_PROMPT, _USUAL_ANSWER = 1024, 256
"""Tokens that a plan assumes where nobody says how many there will be."""


@dataclass(frozen=True)
class MemoryPart:
    """One kind of thing that takes memory on a device.

    Args:
        kind: In two or three words.
        nbytes: On the device that has most of it.
        why: What it is computed from, a short phrase.
    """

    kind: str
    nbytes: int
    why: str


@dataclass(frozen=True)
class Workload:
    """What a deployment is to do, and how its runtime goes about it.

    Args:
        batch: Sequences at once.
        prompt: Tokens of each prompt.
        context: Tokens of the prompt and the answer.
        devices: That share the model by tensor parallelism.
        cache_bytes: Of one element of the KV cache, scales included.
        exchange_bytes: Of one element of what devices add up.
        whole_embedding: Whether each device has the whole embedding rather than a part of it.
    """

    batch: int
    prompt: int
    context: int
    devices: int = 1
    cache_bytes: float = 2
    exchange_bytes: int = 2
    whole_embedding: bool = False


def usual_workload(config: DecoderConfig) -> Workload:
    """One sequence; as many tokens as usual, or as the model has positions for."""
    context = min(config.max_positions, _USUAL_PROMPT + _USUAL_ANSWER)
    return Workload(1, max(1, context - min(_USUAL_ANSWER, context // 2)), context)


@dataclass(frozen=True)
class LayoutCost:
    """What it takes to lay an artifact out on the converting machine.

    Args:
        seconds: Of a processor beyond what any run takes; measured on one of 3 GHz.
        memory: Bytes of all processes with the libraries that this needs.
        memory_again: The same where what takes long is kept from an earlier time; None if nothing
            is kept.
    """

    seconds: float = 0
    memory: int = 220_000_000
    memory_again: int | None = None

    @property
    def again(self) -> LayoutCost:
        """What it takes when the same was laid out before."""
        if self.memory_again is None:
            return self
        return LayoutCost(0, self.memory_again)


@dataclass(frozen=True)
class DeploymentPlan:
    """The memory of one device of a deployment; the others hold as much or less.

    Args:
        title: The deployment in one line: devices, batch, tokens.
        capacity: Bytes of a device.
        parts: What takes them.
        figures: Other figures of interest, in words.
        notes: What a user should know, one sentence each.
        remedy: What would help where it does not fit.
    """

    title: str
    capacity: int
    parts: tuple[MemoryPart, ...]
    figures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remedy: str = ""

    @property
    def needed(self) -> int:
        """Bytes of all parts together."""
        return sum(part.nbytes for part in self.parts)

    @property
    def shortfall(self) -> int:
        """Bytes that a device lacks; 0 if the deployment fits."""
        return max(0, self.needed - self.capacity)

    @property
    def fits(self) -> bool:
        """Whether a device holds all parts."""
        return self.shortfall == 0

    def require_fit(self) -> None:
        """Refuse a deployment that its devices cannot hold.

        Raises:
            DoesNotFitError: It does not fit; the message has the shortfall and the parts.
        """
        if self.fits:
            return
        parts = "; ".join(f"{part.kind} {part.nbytes:,}" for part in self.parts)
        raise DoesNotFitError(
            f"{self.title}: {self.shortfall:,} bytes short on each",
            expected=f"at most {self.capacity:,} bytes on each",
            found=f"{self.needed:,} bytes: {parts}",
            remedy=self.remedy or None,
        )

    def lines(self) -> list[str]:
        """The plan for a terminal."""
        table = [(part.kind, f"{part.nbytes:,}", part.why) for part in self.parts]
        verdict = "fits" if self.fits else f"DOES NOT FIT: {self.shortfall:,} bytes short"
        room = f"{max(0, self.capacity - self.needed):,}"
        table += [
            ("together", f"{self.needed:,}", f"of {self.capacity:,}: {verdict}"),
            ("free", room, ""),
        ]
        kinds, sizes = (max(len(row[column]) for row in table) for column in (0, 1))
        rows = [
            f"  {kind.ljust(kinds)}  {size.rjust(sizes)}  {why}".rstrip()
            for kind, size, why in table
        ]
        remedy = [f"  to do: {self.remedy}"] if self.remedy and not self.fits else []
        return [
            f"{self.title}: bytes on each",
            *rows,
            *(f"  {figure}" for figure in self.figures),
            *(f"  note: {note}" for note in self.notes),
            *remedy,
        ]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "title": self.title,
            "fits": self.fits,
            "capacity": self.capacity,
            "needed": self.needed,
            "shortfall": self.shortfall,
            "parts": [
                {"kind": part.kind, "bytes": part.nbytes, "why": part.why} for part in self.parts
            ],
            "figures": list(self.figures),
            "notes": list(self.notes),
            "remedy": None if self.fits else self.remedy,
        }
