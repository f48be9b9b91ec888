"""ExampleForCausalLM: a Llama whose config says `depth` where others say `num_hidden_layers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.architectures.base import DecoderConfig
from convert.architectures.llama import Llama
from convert.errors import BrokenInputError


class Example(Llama):
    """A Llama with a config in a dialect of its own."""

    names = ("ExampleForCausalLM",)
    reference_module = "tricast_example.reference"

    def parse(self, config: Mapping[str, Any]) -> DecoderConfig:
        if "depth" not in config:
            raise BrokenInputError("config.json has no depth", expected="the number of layers")
        usual = {key: value for key, value in config.items() if key != "depth"}
        usual |= {"num_hidden_layers": config["depth"], "model_type": self.family}
        return super().parse(usual)
