"""Y = X Wᵀ = (X / s) (s · W)ᵀ: inputs without outliers, for layers that round them to 8 bits.

SmoothQuant (arXiv 2211.10438).
"""

from __future__ import annotations

from typing import ClassVar

import onnx_ir as ir

from passes.quantize import Quantize
from passes.smoothing.division import InputDivision


class SmoothQuant(InputDivision):
    """Divide the inputs of layers that take them in 8 bits."""

    name: ClassVar[str] = "smooth_quant"
    left: ClassVar[str] = "smoothed"

    def layers(self, model: ir.Model) -> set[str]:
        stored = Quantize(self.policy).encodings(model)
        return {name for name, chosen in stored.items() if chosen.input_bits}
