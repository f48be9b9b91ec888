"""The targets by name; each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from convert.errors import UsageError

if TYPE_CHECKING:
    from targets.base import Target

_CLASSES = {
    "gguf": ("targets.gguf.target", "GgufTarget"),
    "openvino": ("targets.openvino.target", "OpenVinoTarget"),
    "ipex": ("targets.ipex.target", "IpexTarget"),
    "gaudi": ("targets.gaudi.target", "GaudiTarget"),
    "onnx": ("targets.onnx.target", "OnnxTarget"),
}

TARGETS: tuple[str, ...] = tuple(_CLASSES)
"""Names of all targets."""


def target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        UsageError: There is no such target.
    """
    if name not in _CLASSES:
        raise UsageError(
            f"there is no target {name!r}",
            expected=f"one of {', '.join(TARGETS)}",
            remedy="see `convert list targets`",
        )
    module, class_name = _CLASSES[name]
    created: Target = getattr(import_module(module), class_name)()
    return created
