"""Small models of transformers, and graphs that were imported from their configs."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.importing.architecture import Imported
from convert.importing.skeleton import Skeleton, class_names, config_object
from convert.importing.tracing import trace
from convert.importing.translating import translate
from convert.weights import ArrayWeight
from passes.kv_cache import DynamicCache
from tests.support.ort import OrtGraph

VOCAB = 101

EIGHT: dict[str, Any] = {
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 40,
}
LATENT: dict[str, Any] = {
    "head_dim": ...,
    "num_key_value_heads": 6,
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
}
GROUPED: dict[str, Any] = {
    "n_group": 4,
    "topk_group": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}

MECHANISMS: dict[str, tuple[str, dict[str, Any]]] = {
    "gated": ("qwen3_moe", {**EIGHT, "num_experts_per_tok": 4, "norm_topk_prob": True}),
    "shared": ("qwen2_moe", {**EIGHT, "shared_expert_intermediate_size": 40}),
    "sinks-and-interleaved": (
        "gpt_oss",
        {
            **EIGHT,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "rope_parameters": {"rope_type": "default", "rope_theta": 150000.0},
        },
    ),
    "grouped-and-latent": ("deepseek_v3", {**EIGHT, **LATENT, **GROUPED}),
    "complex-rotation": (
        "deepseek_v2",
        {**EIGHT, **LATENT, **GROUPED, "topk_method": "group_limited_greedy"},
    ),
    "sparse-mixer": ("phimoe", EIGHT),
}
"""Kinds of experts, sinks and latent attention: a family, and changes to `raw_config`."""


def raw_config(family: str, **changes: Any) -> dict[str, Any]:
    """A small config; a change to `...` removes the key."""
    raw = {
        "architectures": [class_names()[family]],
        "model_type": family,
        "hidden_size": 48,
        "intermediate_size": 72,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": VOCAB,
        "max_position_embeddings": 256,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }
    return {key: value for key, value in raw.items() if value is not ...}


def original(raw: dict[str, Any], seed: int = 0) -> Any:
    """The model of transformers, every weight random, norms and biases too."""
    import torch
    import transformers

    torch.manual_seed(seed)
    kind = getattr(transformers, raw["architectures"][0])
    eager = {"attn_implementation": "eager", "experts_implementation": "eager"}
    model = kind._from_config(config_object(raw), dtype=torch.float32, **eager).eval()
    with torch.no_grad():
        for parameter in _stored(model).values():
            noise = torch.randn_like(parameter)
            if parameter.dim() < 2:
                parameter.add_(0.1 * noise)
            else:
                parameter.copy_(1.5 * noise * parameter.shape[-1] ** -0.5)
    return model


def _stored(model: Any) -> dict[str, Any]:
    """Parameters, and buffers that a checkpoint has."""
    buffers = {name: each for name, each in model.named_buffers() if name in model.state_dict()}
    return dict(model.named_parameters()) | buffers


def weights_of(model: Any) -> dict[str, ArrayWeight]:
    """Its parameters as the weights of a checkpoint; of tied ones the first."""
    stored = {name: each.detach().numpy() for name, each in _stored(model).items()}
    return {name: ArrayWeight(name, each) for name, each in stored.items()}


def imported_graph_of(raw: dict[str, Any], model: Any) -> ir.Model:
    """The imported graph of a config with the weights of a model."""
    architecture = Imported(raw, raw["architectures"][0])
    return architecture.build(architecture.parse(raw), architecture.bound(weights_of(model)))


def logits_of(model: Any, ids: Any) -> Any:
    """What transformers makes of sequences without padding."""
    import torch

    mask = torch.ones(*ids.shape, dtype=torch.int64)
    with torch.no_grad():
        return model(torch.tensor(ids), attention_mask=mask, use_cache=False).logits.numpy()


def plain_feed(ids: Any) -> dict[str, Any]:
    """Inputs of a graph for sequences without padding."""
    positions = np.tile(np.arange(ids.shape[1]), (len(ids), 1))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": positions}


def largest_differences(raw: dict[str, Any], seed: int = 0) -> dict[str, float]:
    """Between an imported graph and transformers, in standard deviations of the logits.

    Returns:
        For sequences as a whole, through a cache, and through one with padding on the left.
    """
    model = original(raw, seed)
    graph = imported_graph_of(raw, model)
    ids = np.random.default_rng(seed).integers(3, VOCAB, (2, 11))
    expected = logits_of(model, ids)
    whole = OrtGraph(graph)(**plain_feed(ids))["logits"]
    DynamicCache()(graph)
    runner, sigma = OrtGraph(graph), expected.std()
    cached = _cached(graph, runner, plain_feed(ids), (0, 4, 9, 10, 11))
    padded_ids = ids.copy()
    padded_ids[0, :4] = 0
    feed = plain_feed(padded_ids)
    feed["attention_mask"][0, :4] = 0
    feed["position_ids"][0] = np.maximum(np.arange(11) - 4, 0)
    padded = _cached(graph, runner, feed, (0, 7, 8, 11))
    short = logits_of(model, ids[:1, 4:])
    apart = max(abs(padded[:1, 4:] - short).max(), abs(padded[1:] - expected[1:]).max())
    return {
        "whole": float(abs(whole - expected).max() / sigma),
        "cached": float(abs(cached - expected).max() / sigma),
        "padded": float(apart / sigma),
    }


def _cached(graph: ir.Model, runner: OrtGraph, feed: dict[str, Any], cuts: Any) -> Any:
    batch = len(feed["input_ids"])
    past = {
        str(value.name): np.zeros((batch, value.shape[1], 0, value.shape[3]), np.float32)
        for value in graph.graph.inputs
        if value.name.startswith("past") and value.shape is not None
    }
    found = []
    for start, stop in itertools.pairwise(cuts):
        step = {name: values[:, start:stop] for name, values in feed.items()}
        step["attention_mask"] = feed["attention_mask"][:, :stop]
        result = runner(**step, **past)
        past = {name: result[name.replace("past_key_values", "present")] for name in past}
        found.append(result["logits"])
    return np.concatenate(found, axis=1)


def formula(function: Any, rows: int = VOCAB, columns: int = 12) -> tuple[ir.Model, Any]:
    """A function of torch from ``x [B, S, columns]`` and ids, as a graph and as a call.

    Returns:
        The translated graph, its parameter filled, and what torch computes from ids ``[B, S]``.
    """
    import torch

    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(rows, columns)
            self.config = SimpleNamespace(model_type="formula")

        def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any, **_: Any) -> Any:
            return SimpleNamespace(logits=function(self.table(input_ids), position_ids))

    torch.manual_seed(0)
    whole = Tiny().eval()
    with torch.device("meta"):
        skeleton = Skeleton(Tiny().eval(), {}, {"table.weight": "table.weight"})
    model = translate(trace(skeleton), skeleton)
    for name, value in model.graph.initializers.items():
        if value.const_value is None:
            value.const_value = ir.tensor(whole.table.weight.detach().numpy(), name=name)

    def call(ids: Any) -> Any:
        feed = {name: torch.tensor(each) for name, each in plain_feed(ids).items()}
        with torch.no_grad():
            return whole(**feed).logits.numpy()

    return model, call


def assert_same(function: Any, **options: Any) -> ir.Model:
    """A translated function gives what torch gives, for batches and lengths that were not traced.

    Returns:
        The graph.
    """
    model, call = formula(function, **options)
    runner = OrtGraph(model)
    for shape in ((2, 7), (1, 1), (3, 10)):
        ids = np.random.default_rng(1).integers(0, VOCAB, shape)
        found = runner(**plain_feed(ids))["logits"]
        np.testing.assert_allclose(found, call(ids), rtol=2e-6, atol=2e-6)
    return model
