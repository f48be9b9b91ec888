"""An artifact on a machine: what each device holds, whether that fits, and how fast it will be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from convert.hardware.profile import Hardware
from convert.prediction.kv_cache import KvCache
from convert.prediction.roofline import OPERATORS, Machine, Roofline, Step
from convert.prediction.traffic import Traffic, traffic
from convert.prediction.units import readable_bytes, readable_seconds, three_digits
from targets.deployment import DeploymentPlan, MemoryPart, Workload

_BATCHES, _CONTEXTS = (1, 4, 16), (2048, 8192, 32768)
_INNER_COPIES, _HIDDEN_COPIES = 3, 4
_FLOAT16, _FLOAT32 = 2, 4
MODEL = (
    f"{OPERATORS} operators a layer; reading overlaps with multiplying within one kind of work; "
    "values between layers stay in caches; the head computes one token of a prompt"
)
"""What the roofline takes for granted on any machine."""

_MOST_PREFILLED = 2048
"""Tokens that runtimes compute at once; they cut longer prompts."""


@dataclass(frozen=True)
class HardwarePlan:
    """One artifact on one machine.

    Args:
        name: Of the profile, or its file.
        hardware: The profile.
        work: What is to be done.
        memory: Of the fullest device.
        cache: Keys and values of one device.
        reached: Times with the shares of the peaks that the profile says; None where more devices
            are wanted than the machine has.
        bound: Times at the peaks, which nothing can beat; None likewise.
    """

    name: str
    hardware: Hardware
    work: Workload
    memory: DeploymentPlan
    cache: KvCache
    reached: Roofline | None
    bound: Roofline | None

    def lines(self, *, memory: bool = True) -> list[str]:
        """The plan for a terminal.

        Args:
            memory: Whether to say what each device holds.
        """
        held = self.memory.lines() if memory else []
        latency = self._latency_lines() if self.reached and self.bound else [self._too_many]
        title = f"{self.name}: {self.hardware.title}"
        return [*held, f"{title}: predicted, not measured", *latency, *self._cache_lines()]

    def assumptions(self) -> list[str]:
        """The figures that the times rest on, each with its source."""
        figures = self.hardware.figures().items()
        return [
            f"{self.name}: {self.hardware.title}",
            *(f"  {name}: {_readable(name, one.value)} ({one.source})" for name, one in figures),
            f"  {MODEL}",
        ]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values; times in seconds."""
        return {
            "hardware": self.name,
            "title": self.hardware.title,
            "devices": self.work.devices,
            "batch": self.work.batch,
            "prompt_tokens": self.work.prompt,
            "context": self.work.context,
            "memory": self.memory.to_json(),
            "kv_cache": {
                "bytes_a_token": self.cache.token_bytes,
                "by_batch_and_context": [
                    {"batch": batch, "context": context, "bytes": nbytes}
                    for batch, context, nbytes in self._caches()
                ],
            },
            "latency": self._latency_json(),
            "assumptions": {
                name: {"value": figure.value, "source": figure.source}
                for name, figure in self.hardware.figures().items()
            },
        }

    def _latency_lines(self) -> list[str]:
        assert self.reached is not None and self.bound is not None
        work, last = self.work, max(self.work.prompt + 1, self.work.context)
        first = self.reached.first_token()
        early, late = self.reached.next_token(work.prompt + 1), self.reached.next_token(last)
        least_first, least_next = (
            self.bound.first_token(),
            self.bound.next_token(work.prompt + 1),
        )
        rates = (work.batch * work.prompt / first.seconds, work.batch / late.seconds)
        prompts, answers = (f"{three_digits(rate)} tokens/s" for rate in rates)
        lines = [
            f"  first token of {work.batch} x {work.prompt:,}: {_with_bound(first, least_first)}, "
            f"{prompts}",
            f"  next token: {_with_bound(early, least_next)}, when the context has {last:,} tokens "
            f"{readable_seconds(late.seconds)}; {answers}",
        ]
        shares = (f"{name} {100 * share:.0f} %" for name, share in late.shares().items())
        return [*lines, f"    of which {', '.join(shares)}"]

    def _latency_json(self) -> dict[str, Any] | None:
        if self.reached is None or self.bound is None:
            return None
        last = max(self.work.prompt + 1, self.work.context)
        steps = {
            "first_token": (self.reached.first_token(), self.bound.first_token()),
            "next_token": (
                self.reached.next_token(self.work.prompt + 1),
                self.bound.next_token(self.work.prompt + 1),
            ),
            "next_token_at_full_context": (
                self.reached.next_token(last),
                self.bound.next_token(last),
            ),
        }
        return {
            **{
                name: {
                    "predicted": reached.seconds,
                    "at_least": bound.seconds,
                    "shares": reached.shares(),
                }
                for name, (reached, bound) in steps.items()
            },
            "answer": {
                "predicted": self.reached.generation(),
                "at_least": self.bound.generation(),
            },
        }

    def _cache_lines(self) -> list[str]:
        sizes = ", ".join(
            f"{batch} x {context:,}: {readable_bytes(nbytes)}"
            for batch, context, nbytes in self._caches()
        )
        return [f"  KV cache of each {self.hardware.device} by batch x context: {sizes}"]

    def _caches(self) -> Iterator[tuple[int, int, int]]:
        """Batch, context and bytes; the asked one, and what the model has positions for."""
        batches = sorted({*_BATCHES, self.work.batch})
        most = self.cache.config.max_positions
        contexts = sorted({*(size for size in _CONTEXTS if size <= most), self.work.context})
        for batch in batches:
            for context in contexts:
                yield batch, context, self.cache.nbytes(batch, context)

    @property
    def _too_many(self) -> str:
        return (
            f"  {self.work.devices} devices are more than the {self.hardware.devices} of one "
            "machine: what machines exchange is not modelled, so no times are predicted"
        )


def plan_on(
    name: str,
    hardware: Hardware,
    config: DecoderConfig,
    model: ir.Model,
    work: Workload,
    *,
    memory: DeploymentPlan | None = None,
) -> HardwarePlan:
    """Plan an artifact on a machine.

    Args:
        name: Of the hardware.
        model: The graph with the encoding of each parameter; no weight is read.
        memory: What the target itself says that devices hold, if it does.
    """
    counted = traffic(config, model, work)
    cache = KvCache(config, work.devices, work.cache_bytes)
    modelled = work.devices <= hardware.devices

    def roofline(peaks: bool) -> Roofline | None:
        machine = Machine(hardware, peaks)
        return Roofline(config, counted, cache, work, machine) if modelled else None

    return HardwarePlan(
        name=name,
        hardware=hardware,
        work=work,
        memory=memory or _memory(hardware, config, counted, cache, work),
        cache=cache,
        reached=roofline(False),
        bound=roofline(True),
    )


def _memory(
    hardware: Hardware, config: DecoderConfig, counted: Traffic, cache: KvCache, work: Workload
) -> DeploymentPlan:
    among = f"a part of {work.devices}" if work.devices > 1 else "all of them"
    held = cache.nbytes(work.batch, work.context)
    parts = (
        MemoryPart("weights", counted.held, among),
        MemoryPart("KV cache", held, f"{work.batch} x {work.context:,} tokens"),
        MemoryPart("workspace", _workspace(config, work), "values between layers (assumed)"),
        MemoryPart("runtime", int(hardware.runtime.value), hardware.runtime.source),
    )
    count = f"{work.devices} {hardware.device}s" if work.devices > 1 else f"1 {hardware.device}"
    return DeploymentPlan(
        title=f"{hardware.title}: {count}, batch {work.batch}, {work.context:,} tokens",
        capacity=hardware.capacity,
        parts=parts,
        remedy="use more devices (--tensor-parallel), fewer bits, a smaller --batch or --context, "
        "or other --hardware",
    )


def _workspace(config: DecoderConfig, work: Workload) -> int:
    """Bytes of the values of one layer for the tokens that are computed at once, and of logits."""
    tokens = work.batch * min(work.prompt, _MOST_PREFILLED)
    inner = config.experts.ffn * config.experts.used if config.experts else config.ffn
    token = _HIDDEN_COPIES * config.hidden + _INNER_COPIES * inner // work.devices
    return tokens * token * _FLOAT16 + work.batch * config.vocab * _FLOAT32


def _readable(name: str, value: float) -> str:
    """A figure of a profile with its unit, which its name tells."""
    if name.startswith("share"):
        return f"{100 * value:.0f} %"
    if name.startswith(("latency", "start")):
        return readable_seconds(value)
    if name.endswith("arithmetic"):
        return f"{three_digits(value / 1e12)} T operations/s"
    return readable_bytes(value) + ("/s" if name.startswith("bandwidth") else "")


def _with_bound(reached: Step, bound: Step) -> str:
    return f"{readable_seconds(reached.seconds)} (at least {readable_seconds(bound.seconds)})"
