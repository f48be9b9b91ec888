"""Bytes on one card of a deployment: weights, KV cache, workspace, and what runtimes set aside.

What stands in for measurements that need a card, and where it comes from:

- A card has the memory of its data sheet in billions of bytes. A Gaudi2 shows 94.62 GiB, 101.6
  billion, to a process (logs in the documentation of vLLM on Gaudi), so 96 is careful.
- ``RUNTIME``: driver, collectives and allocator; an assumption.
- Of what weights, workspace and runtime leave, vLLM uses 90 % (``gpu_memory_utilization``), and
  10 % of that is for HPU graphs (``VLLM_GRAPH_RESERVED_MEM``); the KV cache gets the rest.
  optimum-habana reserves nothing, but captures the same graphs, so the same shares are kept free,
  and at least a fiftieth of a card for graphs, which is an assumption.
- Without ``reuse_cache``, optimum-habana pads the prompt to the whole context, computes logits
  for all of it, and returns a new KV cache at each step, so that two are alive.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from convert.architectures.base import DecoderConfig
from targets.deployment import DeploymentPlan, MemoryPart
from targets.gaudi.cards import GB
from targets.gaudi.options import GaudiOptions
from targets.gaudi.settings import REUSE_CACHE_FAMILIES, uses_fused_attention
from targets.gaudi.slicing import Footprint, footprint, uneven_heads

BLOCK = 128
"""Slots of the KV cache that vLLM on Gaudi hands out together."""

RUNTIME = 2 * GB
MARGIN_SHARE = 0.1
GRAPH_SHARE = 0.1
LEAST_GRAPHS = 0.02

_BF16, _F32 = 2, 4
_SCORE_BYTES = 2 + 2 + 4 + 2
"""Of one attention score: itself, masked, its softmax in float32, and that rounded."""

_CARD_COUNTS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Sizes:
    """The sizes that memory depends on.

    Args:
        cards: Sharing the model.
        batch: Sequences.
        prompt: Tokens of the longest prompt.
        context: Slots of the KV cache of a sequence.
        cache_bytes: Of one element of the KV cache.
        in_place: Whether the runtime writes the KV cache where it lies.
        fused: Whether a kernel computes attention without keeping the scores.
    """

    cards: int
    batch: int
    prompt: int
    context: int
    cache_bytes: int
    in_place: bool
    fused: bool


def plan_memory(config: DecoderConfig, model: ir.Model, options: GaudiOptions) -> DeploymentPlan:
    """What each card of a deployment holds.

    Args:
        model: The graph with the encoding of each parameter; no weight is read.
    """
    weights = footprint(model)
    sizes = _sizes(config, options, options.cards)
    parts = _parts(config, weights, sizes, options.hardware.memory)
    return DeploymentPlan(
        title=_title(options, sizes),
        capacity=options.hardware.memory,
        parts=parts,
        figures=(_least_time(config, weights, sizes, options.hardware.bandwidth),),
        notes=_notes(config, options),
        remedy=_remedy(config, weights, options),
    )


def _sizes(config: DecoderConfig, options: GaudiOptions, cards: int) -> Sizes:
    return Sizes(
        cards=cards,
        batch=options.batch,
        prompt=options.longest_prompt(config),
        context=options.context(config),
        cache_bytes=1 if options.kv_cache == "fp8" else _BF16,
        in_place=config.family in REUSE_CACHE_FAMILIES,
        fused=uses_fused_attention(config, options),
    )


def _parts(
    config: DecoderConfig, weights: Footprint, sizes: Sizes, memory: int
) -> tuple[MemoryPart, ...]:
    shared, whole = weights.on_a_card(config, sizes.cards)
    cache, workspace = cache_bytes(config, sizes), workspace_bytes(config, sizes)
    copies = 1 if sizes.in_place else 2
    left = max(0, memory - shared - whole - workspace - RUNTIME)
    margin = int(left * MARGIN_SHARE)
    graphs = int(max((left - margin) * GRAPH_SHARE, memory * LEAST_GRAPHS))
    among = f"a card's share of {sizes.cards}" if sizes.cards > 1 else "all on one card"
    slots = f"{sizes.batch} x {sizes.context:,} tokens in blocks of {BLOCK}"
    return (
        MemoryPart("weights, linear layers", shared, among),
        MemoryPart("weights, whole on each", whole, "embedding, norms, biases"),
        MemoryPart(
            "KV cache", copies * cache, slots if sizes.in_place else f"{slots}, old and new"
        ),
        MemoryPart("workspace", workspace, f"prefill of {sizes.batch} x {_prefilled(sizes):,}"),
        MemoryPart("runtime", RUNTIME, "driver, collectives (assumed)"),
        MemoryPart("margin", margin, "a tenth of what weights, workspace and runtime leave"),
        MemoryPart("HPU graphs", graphs, "a tenth of the rest, 2 % of the card at least"),
    )


def cache_bytes(config: DecoderConfig, sizes: Sizes) -> int:
    """Bytes of one KV cache on a card: layers x (K, V) x batch x heads x slots x head size.

    Cards that are more than the heads of keys hold a copy of one head each.
    """
    slots = -(-sizes.context // BLOCK) * BLOCK
    heads = -(-config.kv_heads // sizes.cards)
    elements = 2 * config.layers * sizes.batch * heads * slots * config.head_dim
    return elements * sizes.cache_bytes


def workspace_bytes(config: DecoderConfig, sizes: Sizes) -> int:
    """Bytes of the intermediate values of a layer and of the logits, all alive at once.

    Hidden states four times (residual, norm, a layer's output, the sum over cards), queries,
    keys and values twice (as computed, and contiguous by head), the MLP's inner size three
    times (gate, up, product), scores of all heads of a card over the whole prompt unless a
    fused kernel computes attention, and logits: bfloat16 for each token that the head is
    computed for, float32 for the last. Decoding needs less: what BLOOM picks a slot of its cache
    with there is a matrix of the context squared for each head, as the scores are here.
    """
    tokens = _prefilled(sizes)
    heads, kv_heads = -(-config.heads // sizes.cards), -(-config.kv_heads // sizes.cards)
    inner = -(-config.ffn // sizes.cards)
    token = 4 * config.hidden + 2 * (heads + 2 * kv_heads) * config.head_dim + 3 * inner
    scores = 0 if sizes.fused else heads * tokens * _SCORE_BYTES
    head_tokens = 1 if sizes.in_place else tokens
    logits = config.vocab * (head_tokens * _BF16 + _F32)
    return sizes.batch * (tokens * (token * _BF16 + scores) + logits)


def _prefilled(sizes: Sizes) -> int:
    """Tokens of a sequence that the prefill computes: the prompt in blocks, or the context."""
    return -(-sizes.prompt // BLOCK) * BLOCK if sizes.in_place else sizes.context


def _least_time(config: DecoderConfig, weights: Footprint, sizes: Sizes, bandwidth: int) -> str:
    """A bound on the time of a token: weights and a full cache read once, at full bandwidth."""
    read = weights.read_for_a_token(config, sizes.cards) + cache_bytes(config, sizes)
    return (
        f"at least {1000 * read / bandwidth:.3g} ms a token: {read:,} bytes are read, "
        f"at {bandwidth // GB:,} GB/s"
    )


def _title(options: GaudiOptions, sizes: Sizes) -> str:
    cards = f"{sizes.cards} x {options.hardware.title}"
    new = sizes.context - sizes.prompt
    return f"{cards}, batch {sizes.batch}, {sizes.prompt:,} + {new:,} tokens"


def _notes(config: DecoderConfig, options: GaudiOptions) -> tuple[str, ...]:
    notes = [
        "planned, not measured: no Gaudi was at hand",
        options.shortened(config),
        uneven_heads(config, options.cards),
    ]
    if config.kv_heads % options.cards and config.heads % options.cards == 0:
        notes.append(
            f"{config.kv_heads} heads of keys on {options.cards} cards: vLLM gives some cards "
            "copies, DeepSpeed more heads to some cards than to others"
        )
    return tuple(note for note in notes if note)


def _remedy(config: DecoderConfig, weights: Footprint, options: GaudiOptions) -> str:
    """The least power of two of cards that would do, or what else to change."""
    for cards in _CARD_COUNTS:
        if cards <= options.cards or config.heads % cards:
            continue
        sizes, memory = _sizes(config, options, cards), options.hardware.memory
        if sum(part.nbytes for part in _parts(config, weights, sizes, memory)) <= memory:
            return f"use {cards} cards (cards: {cards}), or a smaller batch or shorter texts"
    return "use cards with more memory, a smaller batch, or shorter prompts and answers"
