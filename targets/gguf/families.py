"""Which llama.cpp architecture runs a model family, and what that architecture cannot express."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.errors import UnsupportedArchitectureError, UnsupportedConfigError
from targets.gguf.imported.runs import runs_of

if TYPE_CHECKING:
    from convert.architectures.base import DecoderConfig, Experts


@dataclass(frozen=True)
class ExpertForm:
    """What an architecture of llama.cpp makes of experts, in every layer.

    Args:
        normalized: Whether a token's weights of the experts it visits are made to sum to 1.
        shared: Whether there is one more expert that all tokens visit.
    """

    normalized: bool
    shared: bool = False


@dataclass(frozen=True)
class Family:
    """How llama.cpp runs a model family.

    Args:
        architecture: Value of ``general.architecture``.
        qkv_bias: Whether Q, K and V may have a bias.
        other_biases: Whether the output projection and the MLP may have one.
        free_head_dim: Whether heads x head_dim may differ from the hidden size.
        qk_norm: Whether each head's query and key are normalized.
        activation: The MLP's.
        rope: Whether queries and keys are rotated by their positions, or linear biases added.
        layer_norm: Whether norms subtract the mean and add a bias.
        prefix: What the gguf package's map leaves out at the beginning of a parameter's name.
        experts: How it mixes experts; None if it has none.
        tied: Whether the embedding may be the head, too.
    """

    architecture: str
    qkv_bias: bool
    other_biases: bool
    free_head_dim: bool
    qk_norm: bool
    activation: str = "silu"
    rope: bool = True
    layer_norm: bool = False
    prefix: str = ""
    experts: ExpertForm | None = None
    tied: bool = True


_LLAMA = Family(
    architecture="llama",
    qkv_bias=True,
    other_biases=True,
    free_head_dim=True,
    qk_norm=False,
)
_QWEN2 = Family(
    architecture="qwen2",
    qkv_bias=True,
    other_biases=False,
    free_head_dim=False,
    qk_norm=False,
)
_QWEN3 = Family(
    architecture="qwen3",
    qkv_bias=False,
    other_biases=False,
    free_head_dim=True,
    qk_norm=True,
)
_BLOOM = Family(
    architecture="bloom",
    qkv_bias=True,
    other_biases=True,
    free_head_dim=False,
    qk_norm=False,
    activation="gelu_tanh",
    rope=False,
    layer_norm=True,
    prefix="transformer.",
)
FAMILIES: dict[str, Family] = {
    "bloom": _BLOOM,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": replace(_LLAMA, experts=ExpertForm(normalized=True)),
    "qwen2": _QWEN2,
    "qwen2_moe": replace(
        _QWEN2,
        architecture="qwen2moe",
        experts=ExpertForm(normalized=False, shared=True),
        tied=False,
    ),
    "qwen3": _QWEN3,
    "qwen3_moe": replace(_QWEN3, architecture="qwen3moe", experts=ExpertForm(normalized=True)),
}


def _expert_checks(form: ExpertForm | None, experts: Experts | None) -> dict[str, bool]:
    """Whether an architecture can express what there is of these features."""
    if form is None or experts is None:
        return {
            "experts": form is not None or experts is None,
            "the absence of experts": form is None or experts is not None,
        }
    return {
        "layers without experts among others": all(experts.layers),
        "weights of experts that do not sum to 1": experts.normalized or not form.normalized,
        "weights of experts that are made to sum to 1": form.normalized or not experts.normalized,
        "an expert that all tokens visit": form.shared or experts.shared_ffn is None,
        "the absence of an expert that all tokens visit": not form.shared
        or experts.shared_ffn is not None,
    }


def _imported(model_type: str) -> Family:
    """Whatever an imported graph computes is held against its architecture elsewhere."""
    return Family(
        architecture=runs_of(model_type).architecture,
        qkv_bias=True,
        other_biases=True,
        free_head_dim=True,
        qk_norm=True,
    )


def family_of(config: DecoderConfig) -> Family:
    """The llama.cpp architecture for a configuration that it can run.

    Raises:
        UnsupportedArchitectureError: llama.cpp has none for this family here.
        UnsupportedConfigError: It would leave something out.
    """
    if config.imported:
        return _imported(config.family)
    family = FAMILIES.get(config.family)
    if family is None:
        raise UnsupportedArchitectureError(
            f"no GGUF architecture is known for {config.family!r}",
            expected=f"one of {', '.join(FAMILIES)}",
        )
    biases_fit = family.other_biases or not (config.output_bias or config.mlp_bias)
    checks = {
        f"an activation other than {family.activation}": config.activation == family.activation,
        "rotated positions": family.rope or config.rope is None,
        "positions that are not rotated": config.rope is not None or not family.rope,
        "a residual connection behind the norm": not config.residual_of_norm,
        "a bias of the query, key and value projections": family.qkv_bias or not config.qkv_bias,
        "a bias of the output projection or the MLP": biases_fit,
        "a normalization of each head's query and key": family.qk_norm or not config.qk_norm,
        "the absence of the normalization of query and key": config.qk_norm or not family.qk_norm,
        "heads x head_dim that is not the hidden size": family.free_head_dim
        or config.heads * config.head_dim == config.hidden,
        "a head that is the embedding": family.tied or not config.tied,
        **_expert_checks(family.experts, config.experts),
    }
    for feature, expressible in checks.items():
        if not expressible:
            raise UnsupportedConfigError(
                f"llama.cpp's architecture {family.architecture!r} cannot express {feature}",
                remedy="choose another target for this model",
            )
    return family
