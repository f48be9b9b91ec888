"""The original that artifacts are held to, in torch: written apart from the graph."""

from __future__ import annotations

from transformers import LlamaConfig, LlamaForCausalLM


class ExampleConfig(LlamaConfig):
    """Llama's, with `depth`."""

    model_type = "example"
    attribute_map = {"depth": "num_hidden_layers"}  # noqa: RUF012 - as transformers has it


class ExampleForCausalLM(LlamaForCausalLM):
    """A checkpoint of the example."""

    config_class = ExampleConfig
