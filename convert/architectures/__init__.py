"""The architectures that can be converted, and which one a config asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.architectures.base import Architecture, plain_name
from convert.architectures.bloom import Bloom
from convert.architectures.llama import Llama
from convert.architectures.mistral import Mistral
from convert.architectures.mixtral import Mixtral
from convert.architectures.qwen2 import Qwen2
from convert.architectures.qwen2_moe import Qwen2Moe
from convert.architectures.qwen3 import Qwen3
from convert.architectures.qwen3_moe import Qwen3Moe
from convert.architectures.yuan import Yuan
from convert.errors import BrokenInputError, UnsupportedArchitectureError
from convert.expert_tensors import ExpertNames
from convert.extensions import Extensions
from convert.weights import Weight

ARCHITECTURES: tuple[Architecture, ...] = (
    *(Bloom(), Llama(), Mistral(), Mixtral(), Qwen2(), Qwen2Moe(), Qwen3(), Qwen3Moe(), Yuan()),
)

_OF_LOGITS = ("AutoConfig", "AutoModel", "AutoModelForCausalLM")
"""Keys of ``auto_map`` whose classes say what logits are; others are tokenizers, and heads for
other tasks."""

_ADDED: Extensions[Architecture] = Extensions(
    "architectures",
    lambda: Architecture,
    lambda one: one.names,
    required=("base_prefix",),
    any_name=True,
)


def architecture_names() -> tuple[str, ...]:
    """What config.json may name, the architectures of other packages included."""
    known = (name for architecture in ARCHITECTURES for name in architecture.names)
    return tuple(dict.fromkeys((*known, *_ADDED.names())))


def architecture_named(name: str) -> Architecture | None:
    """The architecture that config.json calls so; None if there is none.

    Raises:
        ExtensionError: It is one of another package, and broken.
    """
    known = {name: architecture for architecture in ARCHITECTURES for name in architecture.names}
    return _ADDED.find(name, known) or known.get(name)


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The architecture that ``architectures`` in config.json names.

    Raises:
        UnsupportedArchitectureError: It is unknown, or needs code from the checkpoint.
        BrokenInputError: The config names none, or several.
        ExtensionError: It is one of another package, and broken.
    """
    name = _stated_name(config)
    known, found = architecture_names(), architecture_named(name) or _imported(config, name)
    accepted = frozenset() if found is None else found.remote_classes
    if config.get("auto_map") and not _named_classes(config["auto_map"]) <= set(
        map(plain_name, accepted)
    ):
        raise UnsupportedArchitectureError(
            f"{name} comes with code of its own (auto_map in config.json)",
            expected=f"an architecture that is built in: {', '.join(known)}",
            found=f"auto_map = {config['auto_map']!r}",
            remedy="code from a checkpoint is never executed; remove auto_map only if the"
            " checkpoint is the built-in architecture under another name",
        )
    if found is None:
        raise UnsupportedArchitectureError(
            f"the architecture {name} is not known",
            expected=f"one of {', '.join(known)}, or a causal language model that the installed "
            "transformers has under this name and model_type",
            found=f"{name} of model_type {config.get('model_type')!r}",
            remedy="see docs/architectures.md for how to add an architecture",
        )
    return found


def bound_weights(config: Mapping[str, Any], weights: Mapping[str, Weight]) -> Mapping[str, Weight]:
    """The weights of a checkpoint by the names that the architecture has for them.

    Returns:
        The same for an unknown architecture: refusing it is for `architecture_of`.
    """
    try:
        return architecture_of(config).bound(weights)
    except (BrokenInputError, UnsupportedArchitectureError):
        return weights


def base_prefix(config: Mapping[str, Any]) -> str:
    """What names of parameters begin with, see `Architecture.base_prefix`.

    Returns:
        An empty string for an unknown architecture: refusing it is for `architecture_of`.
    """
    try:
        return architecture_of(config).base_prefix
    except (BrokenInputError, UnsupportedArchitectureError):
        return ""


def expert_names(config: Mapping[str, Any]) -> ExpertNames | None:
    """What a checkpoint calls the parts of a mixture of experts, if the architecture has one.

    Returns:
        None for an unknown architecture, too: refusing it is for `architecture_of`.
    """
    try:
        return architecture_of(config).expert_names
    except (BrokenInputError, UnsupportedArchitectureError):
        return None


def _imported(config: Mapping[str, Any], name: str) -> Architecture | None:
    """The architecture that the installed transformers has by this name."""
    from convert.importing.architecture import imported

    return imported(config, name)


def _named_classes(auto_map: Any) -> frozenset[str]:
    """The classes of ``auto_map`` that logits come from, as `plain_name` writes them and without
    their modules; a malformed one names itself.
    """
    if not isinstance(auto_map, Mapping):
        return frozenset({repr(auto_map)})
    places = [str(auto_map[key]) for key in _OF_LOGITS if key in auto_map]
    return frozenset(plain_name(place.rpartition(".")[2]) for place in places)


def _stated_name(config: Mapping[str, Any]) -> str:
    stated = config.get("architectures")
    if not isinstance(stated, list) or len(stated) != 1 or not isinstance(stated[0], str):
        raise BrokenInputError(
            "config.json does not say which architecture this is",
            expected="a list of one name under 'architectures'",
            found=repr(stated),
            remedy='add it, for example "architectures": ["LlamaForCausalLM"]',
        )
    return stated[0]
