"""The targets by name; each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from convert.errors import UsageError
from convert.extensions import Extensions

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
"""Names of the targets that are built in."""


def _base() -> type:
    from targets.base import Target

    return Target


_ADDED: Extensions[Target] = Extensions(
    "targets",
    _base,
    lambda target: (target.name,),
    required=("summary", "encodings", "families", "default_encoding"),
)


def target_names() -> tuple[str, ...]:
    """Names of all targets, those of other packages included."""
    return tuple(dict.fromkeys((*TARGETS, *_ADDED.names())))


def target(name: str) -> Target:
    """The target called ``name``.

    Raises:
        UsageError: There is no such target.
        ExtensionError: It is one of another package, and broken.
    """
    added = _ADDED.find(name, TARGETS)
    if added is not None:
        return added
    if name not in _CLASSES:
        raise UsageError(
            f"there is no target {name!r}",
            expected=f"one of {', '.join(target_names())}",
            remedy="see `convert list targets`",
        )
    module, class_name = _CLASSES[name]
    created: Target = getattr(import_module(module), class_name)()
    return created
