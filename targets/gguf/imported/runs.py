"""Which architecture of llama.cpp runs a model type, and what that architecture computes.

The facts are those of the files in llama.cpp's src/models (release 11434). What a row says is held
against the model's own graph: whatever the graph computes otherwise is refused by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from convert.errors import UnsupportedArchitectureError

if TYPE_CHECKING:
    from convert.architectures.base import DecoderConfig


@dataclass(frozen=True)
class Mixing:
    """What an architecture makes of experts.

    Args:
        gate: What makes weights of a router's output; None where a key says so.
        normalized: Whether weights of the chosen are made to sum to 1; None where a key says so.
        scaled: Whether a key multiplies them.
        dense_first: Whether a key says how many of the first layers have no experts.
        shared_count: Whether it wants to know how many experts wide that one is that all tokens
            visit.
        step: Whether it wants to know that each layer behind those has experts.
        always: Whether it wants to know sizes of experts although there are none.
    """

    gate: Literal["softmax", "sigmoid"] | None = "softmax"
    normalized: bool | None = True
    scaled: bool = True
    dense_first: bool = False
    shared_count: bool = False
    step: bool = False
    always: bool = False


@dataclass(frozen=True)
class Scales:
    """What a model is multiplied by.

    Args:
        embedding: Embeddings.
        residual: What layers add.
        logits: Logits.
    """

    embedding: float = 1.0
    residual: float = 1.0
    logits: float = 1.0


def _minicpm3_scales(config: DecoderConfig) -> Scales:
    return Scales(12.0, 1.4 / math.sqrt(config.layers), 256 / config.hidden)


@dataclass(frozen=True)
class Runs:
    """What an architecture of llama.cpp computes, and what it reads from keys.

    Args:
        architecture: Value of ``general.architecture``.
        norm: Whether norms subtract the mean.
        activation: Of the MLP.
        rotation: Where a head has the two elements of a rotated pair; None if nothing is rotated.
        rotated: The layers in which queries and keys are rotated.
        windows: Whether layers may have sliding windows, in any pattern.
        needs_windows: Whether it gives them windows of its own if the file names none.
        windows_at: The number of layers at which it has windows, and rotates in no other layer.
        wide_scale_at: The number of layers at which the scale of attention is that of the hidden
            size divided among the heads.
        window_base: What rotations of layers with a window are: as in the others, of a base of
            their own, or those of the others without their scaling.
        factors: Whether it reads factors for the rotary frequencies.
        long_factors: Whether it reads others for contexts that are longer than a key says.
        norm_after_rotation: Whether queries and keys are normalized after they were rotated.
        head: Whether the file must hold a head, may, or must not, so that the embedding is it.
        parallel: Whether attention and MLP of a layer read the same; a key may say so.
        embedding_scale: What embeddings are multiplied by: nothing, a key, or the root of the
            hidden size.
        logit_scale: Whether a key multiplies or divides the logits.
        residual_scale: Whether a key multiplies what layers add.
        attention_scale: Whether a key says what products of queries and keys are multiplied by.
        attention_cap: Whether a key caps them.
        final_cap: Whether a key caps the logits.
        clamp: Whether a key clamps queries, keys and values.
        free_head_dim: Whether heads x head_dim may differ from the hidden size.
        latent: Whether keys and values are made of a short vector, and if so whether the matrices
            for keys and for values are split.
        plain_queries_at: Numbers of layers at which queries are not made of a short vector.
        sinks: Whether scores of no key compete with those of keys.
        grouped: Whether there may be fewer heads of keys than of queries.
        mixing: What it makes of experts; None if it has none.
        fixed: By what embeddings, what layers add and logits are multiplied, if no key says so.
        needs: Biases that the file must hold; where a model has none they are zeros.
    """

    architecture: str
    norm: Literal["rms", "layer"] = "rms"
    activation: str = "silu"
    rotation: Literal["halves", "in_turn"] | None = "halves"
    rotated: Literal["all", "windowed", "three_of_four"] = "all"
    windows: bool = False
    needs_windows: bool = False
    windows_at: int | None = None
    wide_scale_at: int | None = None
    window_base: Literal["same", "own", "unscaled"] = "same"
    factors: bool = False
    long_factors: bool = False
    norm_after_rotation: bool = False
    head: Literal["own", "either", "embedding"] = "either"
    parallel: Literal["no", "yes", "key"] = "no"
    embedding_scale: Literal["none", "key", "root"] = "none"
    logit_scale: Literal["none", "times", "divided"] = "none"
    residual_scale: bool = False
    attention_scale: bool = False
    attention_cap: Literal["none", "key"] = "none"
    final_cap: Literal["none", "key", "always"] = "none"
    clamp: bool = False
    free_head_dim: bool = True
    latent: Literal["no", "split", "whole"] = "no"
    plain_queries_at: tuple[int, ...] = ()
    sinks: bool = False
    grouped: bool = True
    mixing: Mixing | None = None
    fixed: Callable[[DecoderConfig], Scales] | None = None
    needs: tuple[str, ...] = ()


_GEMMA = Runs("gemma", activation="gelu_tanh", embedding_scale="root", head="embedding")
_GPT2 = Runs(
    "gpt2",
    norm="layer",
    activation="gelu_tanh",
    rotation=None,
    free_head_dim=False,
)
_COHERE = Runs(
    "command-r",
    norm="layer",
    rotation="in_turn",
    head="embedding",
    parallel="yes",
    logit_scale="times",
    free_head_dim=False,
)
_GRANITE = Runs(
    "granite",
    rotation="in_turn",
    factors=True,
    embedding_scale="key",
    logit_scale="divided",
    residual_scale=True,
    attention_scale=True,
)
_LLAMA = Runs("llama", rotation="in_turn", factors=True, long_factors=True)
_DEEPSEEK_ROUTER = Mixing(gate=None, normalized=None, dense_first=True, shared_count=True)
_DEEPSEEK = Runs(
    "deepseek2",
    rotation="in_turn",
    latent="split",
    plain_queries_at=(26, 27),
    mixing=replace(_DEEPSEEK_ROUTER, always=True),
)
_OLMO2 = Runs("olmo2", windows=True, window_base="unscaled", head="own", free_head_dim=False)

RUNS: Mapping[str, Runs] = {
    "arcee": Runs("arcee", activation="relu_squared", rotation="in_turn", factors=True),
    "cohere": _COHERE,
    "cohere2": replace(
        _COHERE, architecture="cohere2", windows=True, needs_windows=True, rotated="windowed"
    ),
    "cwm": _LLAMA,
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "dots1": Runs("dots1", head="own", mixing=_DEEPSEEK_ROUTER),
    "ernie4_5": Runs("ernie4_5", rotation="in_turn"),
    "ernie4_5_moe": Runs(
        "ernie4_5-moe",
        rotation="in_turn",
        mixing=Mixing(scaled=False, dense_first=True, step=True),
    ),
    "exaone4": Runs("exaone4", windows_at=64, factors=True, free_head_dim=False),
    "exaone_moe": Runs(
        "exaone-moe",
        windows=True,
        needs_windows=True,
        rotated="windowed",
        factors=True,
        mixing=_DEEPSEEK_ROUTER,
    ),
    "falcon": Runs(
        "falcon", norm="layer", activation="gelu_tanh", parallel="yes", free_head_dim=False
    ),
    "gemma": _GEMMA,
    "gemma2": replace(
        _GEMMA,
        architecture="gemma2",
        windows=True,
        needs_windows=True,
        wide_scale_at=46,
        attention_cap="key",
        final_cap="always",
    ),
    "gemma3_text": replace(
        _GEMMA,
        architecture="gemma3",
        windows=True,
        wide_scale_at=62,
        window_base="own",
        head="either",
        final_cap="key",
    ),
    "glm": Runs("chatglm", rotation="in_turn", free_head_dim=False),
    "glm4": Runs("glm4", rotation="in_turn"),
    "glm4_moe": Runs("glm4moe", mixing=_DEEPSEEK_ROUTER),
    "glm4_moe_lite": _DEEPSEEK,
    "gpt2": _GPT2,
    "gpt_bigcode": replace(_GPT2, architecture="starcoder"),
    "gpt_neox": Runs(
        "gptneox",
        norm="layer",
        activation="gelu_tanh",
        head="own",
        parallel="key",
        free_head_dim=False,
        needs=("attn_qkv.bias", "attn_output.bias"),
    ),
    "gpt_oss": Runs(
        "gpt-oss",
        activation="swiglu_oai",
        windows=True,
        needs_windows=True,
        head="own",
        sinks=True,
        mixing=Mixing(scaled=False),
    ),
    "granite": _GRANITE,
    "granitemoe": replace(_GRANITE, architecture="granitemoe", mixing=Mixing(scaled=False)),
    "helium": _LLAMA,
    "hunyuan_v1_dense": Runs("hunyuan-dense", norm_after_rotation=True),
    "hunyuan_v1_moe": Runs("hunyuan-moe", norm_after_rotation=True, mixing=Mixing(scaled=False)),
    "jais2": Runs("jais2", norm="layer", activation="relu_squared"),
    "llama": _LLAMA,
    "minicpm3": Runs("minicpm3", latent="whole", long_factors=True, fixed=_minicpm3_scales),
    "minimax_m2": Runs("minimax-m2", head="own", mixing=Mixing(gate=None, scaled=False)),
    "ministral": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": replace(_LLAMA, mixing=Mixing(scaled=False)),
    "nemotron": Runs(
        "nemotron", norm="layer", activation="relu_squared", head="own", free_head_dim=False
    ),
    "olmo": Runs("olmo", norm="layer", rotation="in_turn", clamp=True, free_head_dim=False),
    "olmo2": _OLMO2,
    "olmo3": _OLMO2,
    "olmoe": Runs(
        "olmoe",
        head="own",
        grouped=False,
        free_head_dim=False,
        mixing=Mixing(normalized=False, scaled=False),
    ),
    "phi": Runs(
        "phi2",
        norm="layer",
        activation="gelu_tanh",
        head="own",
        parallel="yes",
        free_head_dim=False,
    ),
    "phi3": Runs("phi3", free_head_dim=False, long_factors=True),
    "phi4_multimodal": Runs("phi3", free_head_dim=False, long_factors=True),
    "qwen2": Runs("qwen2", free_head_dim=False),
    "qwen2_moe": Runs(
        "qwen2moe",
        head="own",
        free_head_dim=False,
        mixing=Mixing(normalized=False, scaled=False),
    ),
    "qwen3": Runs("qwen3"),
    "qwen3_moe": Runs("qwen3moe", mixing=Mixing(scaled=False)),
    "seed_oss": Runs("seed_oss"),
    "smollm3": Runs("smollm3", rotation="in_turn", rotated="three_of_four"),
    "youtu": _DEEPSEEK,
    "solar_open": Runs("glm4moe", mixing=_DEEPSEEK_ROUTER),
    "stablelm": Runs("stablelm", norm="layer", head="own", free_head_dim=False),
    "starcoder2": Runs(
        "starcoder2",
        norm="layer",
        activation="gelu_tanh",
        free_head_dim=False,
        needs=("attn_output.bias", "ffn_up.bias", "ffn_down.bias"),
    ),
}
"""By model type of transformers."""


def runs_of(model_type: str, layers: int | None = None) -> Runs:
    """What runs a model type, with so many layers if that matters.

    Raises:
        UnsupportedArchitectureError: No architecture of llama.cpp is described for it here.
    """
    found = RUNS.get(model_type)
    if found is None:
        raise UnsupportedArchitectureError(
            f"no GGUF architecture is known for imported {model_type!r} models",
            expected=f"one of {', '.join(sorted(RUNS))}",
            remedy="choose another target for this model",
        )
    if layers is not None and layers == found.windows_at:
        return replace(found, windows=True, needs_windows=True, rotated="windowed")
    return found
