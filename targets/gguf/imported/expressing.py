"""What a graph computes, in the keys of an architecture of llama.cpp; refused where it has none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from convert.architectures.base import DecoderConfig
from convert.errors import UnsupportedConfigError
from targets.gguf.imported.attending import Attention
from targets.gguf.imported.facts import Facts
from targets.gguf.imported.runs import Runs, Scales

Key = tuple[str, Any]
"""Name of what follows ``add_`` in the names of gguf.GGUFWriter's methods, and its argument."""

_CLOSE = 1e-6
_LARGE_EPSILON = 1e-5
"""Beyond it, norms with another one than most would change what a model says."""
_NORM_KINDS = {"rms": "RMSNormalization", "layer": "LayerNormalization"}
_THREE_OF_FOUR = 4


def keys_of(facts: Facts, config: DecoderConfig, runs: Runs) -> list[Key]:
    """All keys but those of names, sizes of the MLP and rotations.

    Raises:
        UnsupportedConfigError: The architecture computes something else.
    """
    return [
        *_sizes(facts, config, runs),
        *_norm(facts, runs),
        *_windows(facts, runs),
        *_scales(facts, config, runs),
        *_attention(facts, config, runs),
        *_mlp(facts, runs),
    ]


def refusal(runs: Runs, feature: str, found: Any = None) -> UnsupportedConfigError:
    """What is raised where an architecture cannot express a feature."""
    return UnsupportedConfigError(
        f"llama.cpp's architecture {runs.architecture!r} cannot express {feature}",
        found=None if found is None else str(found),
        remedy="choose another target for this model",
    )


def one_of(facts: Facts, what: Callable[[Attention], Any], feature: str, runs: Runs) -> Any:
    """What is the same in all layers."""
    found = {what(each) for each in facts.attentions}
    if len(found) != 1:
        raise refusal(runs, f"{feature} that differs between layers", sorted(map(str, found)))
    return found.pop()


def _sizes(facts: Facts, config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    yield "block_count", config.layers
    yield "embedding_length", config.hidden
    yield "vocab_size", config.vocab
    if runs.latent == "no":
        yield from _head_sizes(facts, config, runs)


def _head_sizes(facts: Facts, config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    heads = one_of(facts, lambda each: each.queries.rows.shape, "a number of heads", runs)
    keys = one_of(facts, lambda each: each.keys.rows.shape, "a number of keys", runs)
    values = one_of(facts, lambda each: each.values.rows.shape, "a size of values", runs)
    if not runs.free_head_dim and heads[0] * heads[1] != config.hidden:
        raise refusal(runs, "heads x head_dim that is not the hidden size", heads)
    if not runs.grouped and heads[0] != keys[0]:
        raise refusal(runs, "fewer heads of keys than of queries", keys[0])
    yield "head_count", heads[0]
    yield "head_count_kv", keys[0]
    yield "key_length", keys[1]
    yield "value_length", values[1]


def _norm(facts: Facts, runs: Runs) -> Iterator[Key]:
    if {kind for kind, _ in facts.norms} != {_NORM_KINDS[runs.norm]}:
        raise refusal(runs, "these norms", sorted(facts.norms))
    epsilon = epsilon_of_most(facts)
    if any(max(each, epsilon) > _LARGE_EPSILON for _, each in facts.norms if each != epsilon):
        raise refusal(runs, "these norms", sorted(facts.norms))
    yield "layer_norm_rms_eps" if runs.norm == "rms" else "layer_norm_eps", epsilon


def epsilon_of_most(facts: Facts) -> float:
    """What most norms add to a mean square; llama.cpp has one number for all."""
    return max(facts.norms, key=lambda each: (facts.norms[each], each))[1]


def _windows(facts: Facts, runs: Runs) -> Iterator[Key]:
    windows = {each.window for each in facts.attentions} - {None}
    if len(windows) > 1:
        raise refusal(runs, "windows of several sizes", sorted(windows))
    if not windows and runs.needs_windows:
        raise refusal(runs, "the absence of sliding windows")
    if windows and runs.windows:
        yield "sliding_window", windows.pop()
        yield "sliding_window_pattern", [each.window is not None for each in facts.attentions]


def _scales(facts: Facts, config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    fixed = Scales() if runs.fixed is None else runs.fixed(config)
    scale = facts.embedding_scale
    own = math.sqrt(config.hidden) if runs.embedding_scale == "root" else fixed.embedding
    if runs.embedding_scale == "key":
        yield "embedding_scale", scale
    elif not math.isclose(scale, own, rel_tol=_CLOSE):
        raise refusal(runs, "what embeddings are multiplied by", scale)
    yield from _head(facts, runs, fixed.logits)
    residual = facts.residual_scales
    if runs.residual_scale and len(residual) == 1:
        yield "residual_scale", next(iter(residual))
    elif not all(math.isclose(each, fixed.residual, rel_tol=_CLOSE) for each in residual):
        raise refusal(runs, "what outputs of layers are multiplied by", sorted(residual))


def _head(facts: Facts, runs: Runs, fixed: float) -> Iterator[Key]:
    head = facts.head
    if runs.logit_scale != "none":
        yield "logit_scale", head.scale if runs.logit_scale == "times" else 1 / head.scale
    elif not math.isclose(head.scale, fixed, rel_tol=_CLOSE):
        raise refusal(runs, "what logits are multiplied by", head.scale)
    if runs.final_cap != "none" and head.cap is not None:
        yield "final_logit_softcapping", head.cap
    elif (runs.final_cap == "always") != (head.cap is not None):
        raise refusal(runs, "this cap of the logits", head.cap)


def _attention(facts: Facts, config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    if runs.latent != "split":
        yield from _attention_scale(facts, config, runs)
    cap = one_of(facts, lambda each: each.cap, "a cap of attention", runs)
    if runs.attention_cap == "key" and cap:
        yield "attn_logit_softcapping", cap
    elif cap or runs.attention_cap == "key":
        raise refusal(runs, "this cap of products of queries and keys", cap or None)
    if any((each.sinks is not None) != runs.sinks for each in facts.attentions):
        lacking = "the absence of attention sinks" if runs.sinks else "attention sinks"
        raise refusal(runs, lacking)
    yield from _clamp(facts, runs)


def _attention_scale(facts: Facts, config: DecoderConfig, runs: Runs) -> Iterator[Key]:
    scale = one_of(facts, lambda each: each.scale, "a scale of attention", runs)
    heads, size = facts.attentions[0].queries.rows.shape
    if config.layers == runs.wide_scale_at:
        size = config.hidden // heads
    if runs.attention_scale:
        yield "attention_scale", scale
    elif not math.isclose(scale, size**-0.5, rel_tol=_CLOSE):
        raise refusal(runs, "what products of queries and keys are multiplied by", scale)


def _clamp(facts: Facts, runs: Runs) -> Iterator[Key]:
    limits = {
        tuple(sorted(part.limits))
        for each in facts.attentions
        for part in (each.queries, each.keys, each.values)
    }
    if limits == {()}:
        return
    (first, *others) = limits
    if others or len(first) != 2 or first[0] != -first[1] or not runs.clamp:
        raise refusal(runs, "limits of queries, keys and values", sorted(limits))
    yield "clamp_kqv", first[1]


def _mlp(facts: Facts, runs: Runs) -> Iterator[Key]:
    for each in facts.activations.values():
        nearly = each.name == "gelu" and runs.activation == "gelu_tanh"
        if each.name != runs.activation and not nearly:
            raise refusal(runs, f"an activation other than {runs.activation}", each.name)
    if len(facts.parallel) != 1:
        raise refusal(runs, "some layers with parallel attention and MLP among others")
    (parallel,) = facts.parallel
    if runs.parallel == "key":
        yield "parallel_residual", parallel
    elif parallel != (runs.parallel == "yes"):
        raise refusal(
            runs,
            "attention and MLP one behind the other"
            if not parallel
            else "attention and MLP that read the same",
        )
