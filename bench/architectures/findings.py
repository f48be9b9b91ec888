"""What was found out about one model type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

PARITY = 1e-4
"""Largest difference of a logit, in standard deviations of the original's, that counts as none."""

TRIAL, IMPORT, ONNX, OPENVINO, INT8 = "trial", "import", "onnxruntime", "openvino", "int8"
"""Stages, each of which may fail."""


@dataclass
class Finding:
    """One model type.

    Args:
        kind: The type, or the released model.
        name: Of its class.
        fast: Whether there is a hand-written architecture for the class, too.
        imported: Whether there is a graph, with every weight of a checkpoint bound.
        attention: How many attention operators the compiled model fused, and has.
        rope: How many rotations it fused, and has; ``[0, 0]`` if nothing is rotated.
        onnxruntime: The largest difference there, see `PARITY`.
        openvino: The same in OpenVINO.
        int8_kl: KL(original || int8 in OpenVINO) in nats.
        reasons: By stage, why it failed.
        seconds: All of it took.
        plans: Of a released model at full size, by artifact: weights and seconds, or why not.
    """

    kind: str
    name: str = ""
    fast: bool = False
    imported: bool = False
    attention: list[int] = field(default_factory=lambda: [0, 0])
    rope: list[int] = field(default_factory=lambda: [0, 0])
    onnxruntime: float | None = None
    openvino: float | None = None
    int8_kl: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    plans: dict[str, str] = field(default_factory=dict)

    @property
    def equal_in_onnxruntime(self) -> bool:
        """Whether there is parity."""
        return self.onnxruntime is not None and self.onnxruntime <= PARITY

    @property
    def equal_in_openvino(self) -> bool:
        """Whether there is parity."""
        return self.openvino is not None and self.openvino <= PARITY

    @property
    def is_fused(self) -> bool:
        """Whether the compiled model fused all attention and all rotations."""
        return self.attention[1] > 0 and all(
            found == expected for found, expected in (self.attention, self.rope)
        )

    def as_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Finding:
        """What `as_json` gave."""
        return cls(**values)
