"""The list of all passes."""

from __future__ import annotations

from passes.awq import Awq
from passes.base import Pass
from passes.kv_cache import DynamicCache, StatefulCache
from passes.lfa_fusion import LfaFusion
from passes.quantize import Quantize
from passes.smooth_quant import SmoothQuant
from passes.static_cache import StaticCache
from passes.tensor_parallel import TensorParallel
from passes.weighting import Weighting

PASSES: tuple[type[Pass], ...] = (
    LfaFusion,
    SmoothQuant,
    Awq,
    TensorParallel,
    DynamicCache,
    StatefulCache,
    StaticCache,
    Quantize,
    Weighting,
)
"""Every pass, in the order in which a run may apply them."""
