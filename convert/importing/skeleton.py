"""A model of the installed transformers without its weights, and the values of its buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.architectures.base import plain_name
from convert.errors import BrokenInputError, UnsupportedArchitectureError, UnsupportedConfigError
from convert.importing.expert_operators import register_experts
from convert.importing.operators import NAME, register

_WRITING = ("ForConditionalGeneration", "ForCausalLM")
"""What names of classes end in that continue a text, token by token."""


@dataclass(frozen=True)
class Skeleton:
    """A model on torch's meta device.

    Args:
        model: The module with a head.
        buffers: What modules compute from the config alone, by name: rotary frequencies, tables.
        aliases: Name of each parameter, tied ones included, to the first of those it is tied to.
    """

    model: Any
    buffers: Mapping[str, NDArray[Any]]
    aliases: Mapping[str, str]


def class_names() -> Mapping[str, str]:
    """Name of the class of causal language models for each model type that transformers has."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return {kind: str(name) for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()}


def wrapper_names() -> Mapping[str, str]:
    """Name of the class of models that also see or hear and write on, for each model type that
    has one.
    """
    from transformers.models.auto import modeling_auto as auto

    found: Mapping[str, Any] = getattr(auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {})
    return {kind: str(name) for kind, name in found.items() if str(name).endswith(_WRITING)}


def class_name(raw: Mapping[str, Any]) -> str | None:
    """Name of the class of causal language models for a config; None if there is none.

    Some classes are made from a part of the config of their type, which has a type of its own:
    then the config has to name the class. It has to name one that sees or hears, too, whose
    part for text is what is imported.
    """
    import transformers

    names, kind = class_names(), str(raw.get("model_type"))
    stated = raw.get("architectures")
    if not isinstance(stated, list) or len(stated) != 1:
        return names.get(kind)
    wrapper = wrapper_names().get(kind)
    if wrapper is not None and plain_name(str(stated[0])) == plain_name(wrapper):
        return wrapper
    if kind in names:
        return names[kind]
    if stated[0] not in names.values():
        return None
    made_from = getattr(getattr(transformers, stated[0]), "config_class", None)
    return str(stated[0]) if getattr(made_from, "model_type", None) == kind else None


def config_object(raw: Mapping[str, Any]) -> Any:
    """The config as transformers reads it.

    Raises:
        BrokenInputError: It does not take a value.
    """
    from transformers import CONFIG_MAPPING

    kind = str(raw.get("model_type"))
    left_out = ("auto_map", "model_type")
    try:
        values = {key: _with_floats(value) for key, value in raw.items() if key not in left_out}
        return CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:  # whatever its own checks of the values raise
        raise BrokenInputError(
            f"transformers does not take this config of a {kind} model",
            found=f"{type(error).__name__}: {error}",
            remedy="check the values in config.json",
        ) from error


def _with_floats(value: Any) -> Any:
    """A value of config.json, in which ``{"__float__": "Infinity"}`` is infinity."""
    if isinstance(value, Mapping):
        if value.keys() == {"__float__"}:
            return float(value["__float__"])
        return {key: _with_floats(item) for key, item in value.items()}
    return [_with_floats(item) for item in value] if isinstance(value, list) else value


def skeleton(raw: Mapping[str, Any]) -> Skeleton:
    """The model that a config describes, its attention replaced by `operators`.

    Nothing of a checkpoint is read or run: the class is that of the installed package.

    Raises:
        UnsupportedArchitectureError: Transformers does not make it with attention of our own.
        BrokenInputError: Transformers does not take the config.
    """
    import torch
    import transformers

    register()
    register_experts()
    config = config_object(raw)
    name = str(class_name(raw))
    kind = getattr(transformers, name)
    _require_no_state(kind)
    _as_exported(config)
    try:
        with torch.device("meta"):
            model = _with_attention(kind, config)
    except Exception as error:
        raise UnsupportedArchitectureError(
            f"{name} cannot be made without weights",
            found=f"{type(error).__name__}: {_first_line(error)}",
        ) from error
    model.eval()
    if getattr(model.config, "is_encoder_decoder", False):
        raise UnsupportedConfigError("the model has an encoder", expected="a decoder alone")
    return Skeleton(model, _buffer_values(model), _aliases(model))


def _require_no_state(kind: Any) -> None:
    if getattr(kind, "_is_stateful", False):
        raise UnsupportedArchitectureError(
            f"{kind.__name__} carries a state of its own from token to token",
            expected="a model that remembers keys and values alone",
            remedy="recurrent layers cannot be imported yet",
        )


def _as_exported(config: Any) -> None:
    """Settings that change how a model runs, not what it computes."""
    for part in {id(each): each for each in (config, config.get_text_config())}.values():
        part.use_cache = False
        part._experts_implementation = NAME


def _with_attention(kind: Any, config: Any) -> Any:
    """The model with attention of our own, or, where it has a class for each implementation of
    attention, with the one that computes it step by step.
    """
    import torch

    if kind._supports_attention_backend:
        return kind._from_config(config, dtype=torch.float32, attn_implementation=NAME)
    model = kind._from_config(config, dtype=torch.float32, attn_implementation="eager")
    for module in model.modules():
        part = getattr(module, "config", None)
        if part is not None and hasattr(part, "_attn_implementation_internal"):
            part._attn_implementation_internal = NAME  # for the mask
    return model


def _buffer_values(model: Any) -> dict[str, NDArray[Any]]:
    """Values of all buffers that are not stored, computed as transformers does after loading."""
    import torch

    names = [name for name, _ in model.named_non_persistent_buffers()]
    on_meta = {name: model.get_buffer(name) for name in names}
    for name, buffer in on_meta.items():
        _put(model, name, torch.zeros_like(buffer, device="cpu"))
    for module in model.modules():
        module._is_hf_initialized = False
    with torch.no_grad():
        model.initialize_weights()
    values = {name: np.array(model.get_buffer(name).numpy()) for name in names}
    for name, buffer in on_meta.items():
        _put(model, name, buffer)
    return values


def _put(model: Any, name: str, buffer: Any) -> None:
    path, _, leaf = name.rpartition(".")
    model.get_submodule(path)._buffers[leaf] = buffer


def _aliases(model: Any) -> dict[str, str]:
    first: dict[int, str] = {}
    return {
        name: first.setdefault(id(parameter), name)
        for name, parameter in model.named_parameters(remove_duplicate=False)
    }


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
