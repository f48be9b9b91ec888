"""What is known of a machine that models run on: figures, each with where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Arithmetic = Literal["f32", "bf16", "int8", "fp8"]
"""What numbers are multiplied as, whatever they are stored as."""

NARROWER_FIRST: Mapping[str, tuple[Arithmetic, ...]] = {
    "fp8": ("fp8", "bf16", "f32"),
    "int8": ("int8", "bf16", "f32"),
    "bf16": ("bf16", "f32"),
    "f32": ("f32", "bf16"),
}
"""What a machine without an arithmetic multiplies in instead, the first that it has. Float32 comes
down to bfloat16 on cards that have a rate for that alone: a bound that is too fast, but a bound."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figure(_Strict):
    """A number and its source.

    Args:
        value: In units of one: bytes, bytes a second, operations a second, seconds, or a share.
        source: An address, how it is derived, or ``assumed: `` and why.
    """

    value: float = Field(gt=0)
    source: str = Field(min_length=8)

    @property
    def is_assumed(self) -> bool:
        """Whether nobody published or measured it."""
        return self.source.startswith("assumed")


class Share(Figure):
    """A figure between 0 and 1: how much of a peak is reached."""

    value: float = Field(gt=0, le=1)


class Links(_Strict):
    """How devices of one machine reach each other.

    Args:
        bandwidth: Bytes a second out of one device, over all its links to the others together.
        latency: Seconds that a collective takes however little it carries.
    """

    bandwidth: Figure
    latency: Figure


class Efficiency(_Strict):
    """Shares of the peaks that a good runtime reaches.

    Args:
        bandwidth: Of the memory's, when weights and keys are read.
        compute: Of the arithmetic's, in the matrix products of a prompt.
        links: Of the links', in large collectives.
    """

    bandwidth: Share
    compute: Share
    links: Share | None = None


class Hardware(_Strict):
    """A machine of one or more equal devices, of which a model may use some.

    Args:
        title: For people.
        device: What one of them is called: card, socket, tile, machine.
        devices: How many there are.
        memory: Bytes of one device.
        bandwidth: Bytes a second that one device reads from its memory at most.
        compute: Operations a second of one device by arithmetic; a multiplication and an addition
            are two.
        links: Between devices; None where there is one, or none are used together.
        efficiency: What of all this is reached.
        operator: Seconds to start one operator of the model, however small.
        runtime: Bytes of a device that the runtime itself takes.
        settings: What an artifact for this machine has in its options, where its target knows them.
    """

    title: str = Field(min_length=1)
    device: str = Field(min_length=1)
    devices: Annotated[int, Field(ge=1)] = 1
    memory: Figure
    bandwidth: Figure
    compute: dict[Arithmetic, Figure] = Field(min_length=1)
    links: Links | None = None
    efficiency: Efficiency
    operator: Figure
    runtime: Figure
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _several_are_linked(self) -> Hardware:
        if self.devices > 1 and (self.links is None or self.efficiency.links is None):
            raise ValueError("several devices need links, and efficiency.links")
        if not {"f32", "bf16"} & set(self.compute):
            raise ValueError("compute needs bf16 or f32, which all models can be computed in")
        return self

    @property
    def capacity(self) -> int:
        """Whole bytes of one device."""
        return int(self.memory.value)

    def arithmetic(self, wanted: str) -> tuple[str, Figure]:
        """What the machine multiplies in where ``wanted`` would be best, and how fast."""
        return next(
            (one, self.compute[one]) for one in NARROWER_FIRST[wanted] if one in self.compute
        )

    def figures(self) -> dict[str, Figure]:
        """All figures by name."""
        links = self.links
        found: dict[str, Figure | None] = {
            "memory": self.memory,
            "bandwidth": self.bandwidth,
            **{f"{name} arithmetic": figure for name, figure in self.compute.items()},
            "bandwidth of links": links.bandwidth if links else None,
            "latency of a collective": links.latency if links else None,
            "share of bandwidth": self.efficiency.bandwidth,
            "share of arithmetic": self.efficiency.compute,
            "share of links": self.efficiency.links,
            "start of an operator": self.operator,
            "memory of the runtime": self.runtime,
        }
        return {name: figure for name, figure in found.items() if figure is not None}
