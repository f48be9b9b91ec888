"""The list of all passes."""

from __future__ import annotations

from convert.errors import UsageError
from convert.extensions import Extensions
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

_ADDED: Extensions[type[Pass]] = Extensions(
    "passes", lambda: Pass, lambda one: (one.name,), required=("exact",), as_class=True
)


def added_pass_names() -> tuple[str, ...]:
    """Names of the passes that other packages add."""
    return _ADDED.names()


def added_pass(name: str) -> type[Pass]:
    """A pass of another package, which a recipe may ask for by name.

    Raises:
        UsageError: There is none.
        ExtensionError: It is broken.
    """
    found = _ADDED.find(name, [one.name for one in PASSES])
    if found is None:
        raise UsageError(
            f"no package adds a pass {name!r}",
            expected=", ".join(_ADDED.names())
            or "the name of a pass that an installed package adds",
            remedy="install the package; passes that are built in are the targets' to apply",
        )
    return found
