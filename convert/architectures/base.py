"""What an architecture declares: a normalized config, its parameters, and its graph."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import onnx_ir as ir

from convert.expert_tensors import ExpertNames
from convert.weights import Weight

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rope:
    """Rotary position embedding, half-rotation form.

    Args:
        theta: Base of the frequencies.
        kind: Scaling; parameters of the other kinds are left at their defaults.
        factor: Scaling factor (linear, llama3, yarn).
        low_freq_factor: llama3.
        high_freq_factor: llama3.
        original_max_positions: Context length before scaling (llama3, yarn).
        beta_fast: yarn.
        beta_slow: yarn.
        attention_factor: Multiplies cos and sin (yarn); 1 otherwise.
    """

    theta: float
    kind: Literal["default", "linear", "llama3", "yarn"] = "default"
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float = 1.0


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: many MLPs, of which a router chooses a few for each token.

    Args:
        count: How many a layer has.
        used: How many of them a token visits.
        ffn: Inner width of each.
        normalized: Whether a token's weights of the experts it visits are made to sum to 1.
        layers: Whether each layer has experts; the others have one MLP, as usual.
        shared_ffn: Inner width of one more MLP that all tokens visit, at a weight of its own;
            None if there is none.
        names: Of the modules in a checkpoint.
    """

    count: int
    used: int
    ffn: int
    normalized: bool
    layers: tuple[bool, ...]
    shared_ffn: int | None = None
    names: ExpertNames = field(default_factory=ExpertNames)


@dataclass(frozen=True)
class DecoderConfig:
    """Configuration of a decoder in one dialect, whatever the checkpoint's config called it.

    Args:
        family: ``model_type`` of the checkpoint: bloom, llama, mistral, mixtral, qwen2,
            qwen2_moe, qwen3, qwen3_moe, yuan.
        rope: None where nothing is rotated: positions enter as linear biases (ALiBi).
        windows: Sliding window of each layer in tokens; None for full attention.
        activated: Which of the MLP's two inner products the activation sits on.
        localized_filter: Whether queries and keys read their input through two short causal
            convolutions over the sequence.
        residual_of_norm: Whether a layer adds what its norms put out, rather than what they read.
        experts: Of the layers whose MLP is a mixture of them; None if all layers have one MLP.
        imported: Whether the graph was traced from transformers' class, so that only targets that
            write the graph itself can express it.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    max_positions: int
    norm_eps: float
    rope: Rope | None
    windows: tuple[int | None, ...]
    activation: str = "silu"
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    tied: bool = False
    activated: Literal["gate", "up"] = "gate"
    localized_filter: bool = False
    residual_of_norm: bool = False
    experts: Experts | None = None
    imported: bool = False


def plain_name(name: str) -> str:
    """A class's name, however it is spelled: code of a checkpoint calls ``MptForCausalLM`` of
    transformers ``MPTForCausalLM``, and ``Ernie4_5ForCausalLM`` ``Ernie4_5_ForCausalLM``.
    """
    return name.replace("_", "").casefold()


class Architecture(ABC):
    """A family of checkpoints: from a Hugging Face config to a graph in standard operators."""

    names: ClassVar[tuple[str, ...]]
    """The values of ``architectures`` in config.json that this class handles."""

    base_prefix: ClassVar[str]
    """What the names of the parameters without the head begin with. A checkpoint that was saved
    without a head has its names without it."""

    expert_names: ClassVar[ExpertNames | None] = None
    """What checkpoints call the parts of a mixture of experts, if models may have one."""

    remote_classes: ClassVar[frozenset[str]] = frozenset()
    """Classes that ``auto_map`` of a genuine checkpoint names, if transformers has no class for
    it. Their code is never executed: the architecture itself says what they compute."""

    reference_module: ClassVar[str | None] = None
    """Module with a plain torch class of the architecture's name, for one of another package that
    transformers does not know: the original that artifacts are held to is run in it."""

    @abstractmethod
    def parse(self, config: Mapping[str, Any]) -> DecoderConfig:
        """Normalize ``config.json``.

        Raises:
            UnsupportedConfigError: A key changes the mathematics and is not implemented.
            BrokenInputError: A key is missing or contradicts another.
        """

    @abstractmethod
    def parameters(self, config: DecoderConfig) -> dict[str, Shape]:
        """Name and shape of every parameter, as in the checkpoint, in the order of use.

        The graph has the same names; where the architecture rearranges a weight, its shape may
        be another there.
        """

    def bound(self, weights: Mapping[str, Weight]) -> Mapping[str, Weight]:
        """The weights of a checkpoint by the names of `parameters`, where those are not the same.

        Raises:
            UnsupportedArchitectureError: Tensors are combined in a way that is not implemented.
        """
        return weights

    @abstractmethod
    def build(self, config: DecoderConfig, weights: Mapping[str, Weight]) -> ir.Model:
        """The float graph: no KV cache, batch and sequence symbolic. Reads no weight."""
