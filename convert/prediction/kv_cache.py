"""Bytes of the keys and values of a deployment, by sequences and tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convert.architectures.base import DecoderConfig

_FILTER_STATES = 1.5
"""Of a localized filter, in hidden sizes: the last input, and half as much from in between."""


@dataclass(frozen=True)
class KvCache:
    """The cache of one device.

    Args:
        config: Of the model.
        devices: That share the heads; each has whole ones.
        element_bytes: Of one element, scales included.
    """

    config: DecoderConfig
    devices: int
    element_bytes: float

    @property
    def token_bytes(self) -> float:
        """Of one token of one sequence, all layers together."""
        heads = math.ceil(self.config.kv_heads / self.devices)
        elements = 2 * self.config.layers * heads * self.config.head_dim
        return elements * self.element_bytes

    def nbytes(self, batch: int, context: int) -> int:
        """What is held when every sequence has ``context`` tokens; windows are held whole."""
        return math.ceil(batch * (context * self.token_bytes + self._filter_bytes))

    def read(self, batch: int, context: int) -> float:
        """What is read for the next token; layers with a window look no further back."""
        each = self.token_bytes / self.config.layers
        seen = sum(min(context, window or context) for window in self.config.windows)
        return batch * (seen * each + self._filter_bytes)

    @property
    def _filter_bytes(self) -> float:
        if not self.config.localized_filter:
            return 0
        elements = _FILTER_STATES * self.config.hidden * self.config.layers
        return elements * self.element_bytes / self.devices
