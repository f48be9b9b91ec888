"""What a plan says beside memory: the shapes of the deployment."""

from __future__ import annotations

import pytest

from convert.architectures import architecture_of
from convert.errors import BrokenInputError
from convert.unread_weights import unread_weights
from passes.quantize import Policy, Quantize
from targets.gaudi.buckets import static_buckets
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import GaudiOptions
from targets.gaudi.planned import deployment_plan
from tests.support.published import LLAMA_7B

LLAMA = {**LLAMA_7B, "num_hidden_layers": 1}
BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "n_layer": 1,
    "hidden_size": 96,
    "n_head": 6,
    "vocab_size": 131,
}


def graph_of(raw):
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    graph = architecture.build(config, unread_weights(architecture.parameters(config), raw))
    Quantize(Policy("bf16", "bf16", "bf16", (), ("bf16",), vectors="bf16"))(graph)
    return config, graph


def test_memory_is_that_of_the_card_and_shapes_are_told():
    config, graph = graph_of(LLAMA)
    options = GaudiOptions(prompt_tokens=100, new_tokens=100)
    plan, memory = deployment_plan(config, graph, options), plan_memory(config, graph, options)
    assert (plan.parts, plan.capacity) == (memory.parts, memory.capacity)
    assert plan.figures[: len(memory.figures)] == memory.figures
    told = "\n".join(plan.figures)
    assert "vLLM: 1 prefill bucket of 128 tokens" in told
    sizes = ", ".join(map(str, static_buckets(options, config)))
    assert f"prompts of {sizes} tokens" in told


def test_what_is_not_made_is_not_told():
    config, graph = graph_of(BLOOM)
    without = deployment_plan(config, graph, GaudiOptions(graphs=False))
    assert without.figures == plan_memory(config, graph, GaudiOptions()).figures


def test_lengths_that_cannot_be_read_are_refused_before_a_run(tmp_path):
    (tmp_path / "lengths.jsonl").write_text("prompt")
    config, graph = graph_of(LLAMA)
    with pytest.raises(BrokenInputError, match="line 1 of the lengths file"):
        deployment_plan(config, graph, GaudiOptions(lengths=tmp_path / "lengths.jsonl"))
