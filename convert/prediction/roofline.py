"""The time of a step by a roofline: what is read, what is multiplied, what devices exchange.

    time = Σ max(operations / arithmetic, bytes / bandwidth)    over kinds of work
           + collectives + operators · start

Within a kind of work, reading and multiplying overlap; kinds follow one another. A collective takes

    latency + 2 · (n - 1) / n · bytes / bandwidth of a device's links

for a sum (scatter and gather among fully connected devices), and half of that traffic for a gather.
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.architectures.base import DecoderConfig
from convert.hardware.profile import Hardware
from convert.prediction.kv_cache import KvCache
from convert.prediction.traffic import Traffic, Weights
from targets.deployment import Workload

OPERATORS = 13
"""Of a decoder layer, that runtimes start one by one: four products of attention, three of the MLP,
two norms, rotation, attention, activation, residuals."""

_SUMS, _FILTER_SUMS = 2, 1
"""Sums over devices in a layer: attention's output and the MLP's; one more behind a filter."""

_PER_ELEMENT = 2
"""A multiplication and an addition."""


@dataclass(frozen=True)
class Step:
    """Seconds of one step of the model, by what takes them."""

    linear: float
    convolutions: float
    attention: float
    collectives: float
    operators: float

    @property
    def seconds(self) -> float:
        """All together."""
        return self.linear + self.convolutions + self.attention + self.collectives + self.operators

    def shares(self) -> dict[str, float]:
        """By name, between 0 and 1."""
        parts = {
            "linear layers": self.linear,
            "convolutions": self.convolutions,
            "attention": self.attention,
            "collectives": self.collectives,
            "operators": self.operators,
        }
        return {name: seconds / self.seconds for name, seconds in parts.items() if seconds}


@dataclass(frozen=True)
class Machine:
    """Rates of one device: those that are reached, or the peaks alone.

    Args:
        hardware: The profile.
        peaks: Everything at its peak, and nothing that starts or waits: what no runtime can beat.
    """

    hardware: Hardware
    peaks: bool = False

    def reading(self, nbytes: float) -> float:
        """Seconds to read from memory."""
        share = 1 if self.peaks else self.hardware.efficiency.bandwidth.value
        return nbytes / (self.hardware.bandwidth.value * share)

    def multiplying(self, operations: float, arithmetic: str) -> float:
        """Seconds to multiply and add."""
        _, rate = self.hardware.arithmetic(arithmetic)
        share = 1 if self.peaks else self.hardware.efficiency.compute.value
        return operations / (rate.value * share)

    def exchanging(self, carried: float, collectives: int) -> float:
        """Seconds of collectives that carry bytes out of each device, all together."""
        links, share = self.hardware.links, self.hardware.efficiency.links
        if links is None or share is None:
            return 0
        waited = 0 if self.peaks else collectives * links.latency.value
        return waited + carried / (links.bandwidth.value * (1 if self.peaks else share.value))

    def starting(self, operators: int) -> float:
        """Seconds to start operators."""
        return 0 if self.peaks else operators * self.hardware.operator.value


@dataclass(frozen=True)
class Roofline:
    """A model on a machine.

    Args:
        config: Of the model.
        traffic: What one device holds and multiplies.
        cache: Its keys and values.
        work: The deployment.
        machine: Its rates.
    """

    config: DecoderConfig
    traffic: Traffic
    cache: KvCache
    work: Workload
    machine: Machine

    def first_token(self) -> Step:
        """From the whole prompt to the first new token, whose logits alone are computed."""
        return self._step(self.work.prompt, self.work.prompt)

    def next_token(self, context: int) -> Step:
        """One more token of each sequence, when ``context`` tokens are in the cache."""
        return self._step(1, context)

    def generation(self) -> float:
        """Seconds for the whole answer: the first token, and the others as the context grows."""
        new = self.work.context - self.work.prompt
        first, last = self.work.prompt + 1, max(self.work.prompt + 1, self.work.context - 1)
        each = (self.next_token(first).seconds + self.next_token(last).seconds) / 2
        return self.first_token().seconds + max(0, new - 1) * each

    def _step(self, tokens: int, context: int) -> Step:
        rows = tokens * self.work.batch
        linear = self._product(self.traffic.linear, rows) + self._experts(rows)
        linear += self._product(self.traffic.head, self.work.batch)
        linear += self.machine.reading(self.traffic.vectors)
        return Step(
            linear=linear,
            convolutions=self._product(self.traffic.convolutions, rows),
            attention=self._attention(tokens, context),
            collectives=self._collectives(rows),
            operators=self.machine.starting(OPERATORS * self.config.layers),
        )

    def _product(self, weights: Weights, rows: float, read: float = 1) -> float:
        if not weights.elements:
            return 0
        operations = _PER_ELEMENT * weights.elements * rows
        multiplied = self.machine.multiplying(operations, weights.arithmetic)
        return max(multiplied, self.machine.reading(weights.nbytes * read))

    def _experts(self, rows: int) -> float:
        """Each row visits a few experts; those that any of them visits are read, which are
        ``1 - (1 - used / count) ** rows`` of all where all are as likely.
        """
        experts = self.config.experts
        if experts is None:
            return 0
        share = experts.used / experts.count
        return self._product(self.traffic.experts, rows * share, read=1 - (1 - share) ** rows)

    def _attention(self, tokens: int, context: int) -> float:
        """Scores and their sums over what each new token sees, on average over the new ones."""
        config, batch = self.config, self.work.batch
        seen = sum(_seen(tokens, context, window) for window in config.windows)
        heads = config.heads / self.work.devices
        operations = 2 * _PER_ELEMENT * batch * heads * config.head_dim * tokens * seen
        return max(
            self.machine.multiplying(operations, "bf16"),
            self.machine.reading(self.cache.read(batch, context)),
        )

    def _collectives(self, rows: int) -> float:
        devices = self.work.devices
        if devices == 1:
            return 0
        sums = (_SUMS + _FILTER_SUMS * self.config.localized_filter) * self.config.layers
        sums += 0 if self.work.whole_embedding else 1
        share = (devices - 1) / devices
        element = self.work.exchange_bytes
        carried = sums * 2 * share * rows * self.config.hidden * element
        carried += share * self.work.batch * self.config.vocab * element / devices
        return self.machine.exchanging(carried, sums + 1)


def _seen(tokens: int, context: int, window: int | None) -> float:
    """Tokens that each of the last ``tokens`` of a context sees on average, itself included."""
    first, last = context - tokens + 1, context
    if window is None or window >= last:
        return (first + last) / 2
    if window <= first:
        return float(window)
    growing = window - first  # tokens whose window is not full yet
    return (growing * (first + window - 1) / 2 + (tokens - growing) * window) / tokens
