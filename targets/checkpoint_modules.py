"""The modules of a Hugging Face checkpoint that weights belong to, and those that vLLM fuses."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from convert.errors import UnsupportedEncodingError
from convert.graph import Role, parameters, roles
from convert.parameter import Parameter

HEAD_MODULE = "lm_head"
"""The module that transformers has even where the head is tied to the embedding."""

_FUSED_BY_VLLM = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def linear_layers(model: ir.Model) -> dict[str, Parameter]:
    """The weights of the linear layers, the head excepted, by the names of their modules."""
    role_of = roles(model)
    return {
        name.removesuffix(".weight"): parameter
        for name, parameter in parameters(model).items()
        if role_of[name] is Role.LINEAR
    }


def require_alike(stored: Mapping[str, str]) -> None:
    """Refuse layers that vLLM makes one of, and that are stored in several ways.

    Args:
        stored: How each linear layer is stored, by the name of its module.

    Raises:
        UnsupportedEncodingError: Parts of a fused layer differ.
    """
    for parts in _FUSED_BY_VLLM:
        for module in stored:
            stem, _, last = module.rpartition(".")
            siblings = [f"{stem}.{part}" for part in parts]
            if last != parts[0] or not all(sibling in stored for sibling in siblings):
                continue
            found = [stored[sibling] for sibling in siblings]
            if len(set(found)) > 1:
                pairs = zip(parts, found, strict=True)
                raise UnsupportedEncodingError(
                    f"vLLM fuses {', '.join(parts)} of {stem!r} into one layer",
                    expected="one encoding for all of them",
                    found=", ".join(f"{part} {how}" for part, how in pairs),
                    remedy="override them together",
                )
