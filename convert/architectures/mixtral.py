"""Mixtral: a Mistral whose MLPs are mixtures of experts."""

from __future__ import annotations

from dataclasses import replace

from convert.architectures.base import DecoderConfig, Experts
from convert.architectures.dialect import ConfigReader
from convert.architectures.expert_dialect import (
    MOST_EXPERTS,
    require_possible,
    router_training,
    used_experts,
)
from convert.architectures.mistral import Mistral
from convert.expert_tensors import ExpertNames


class Mixtral(Mistral):
    """Every layer has experts. A config without a window means full attention."""

    names = ("MixtralForCausalLM",)
    family = "mixtral"
    default_theta = 1e6
    default_norm_eps = 1e-5
    default_window = None
    expert_names = ExpertNames("block_sparse_moe", ("w1", "w3", "w2"))

    def features(self, reader: ConfigReader, config: DecoderConfig) -> DecoderConfig:
        router_training(reader, "router_jitter_noise")
        count = reader.integer("num_local_experts", 8, maximum=MOST_EXPERTS)
        require_possible(reader, config.layers, count, key="num_local_experts")
        experts = Experts(
            count=count,
            used=used_experts(reader, count, default=2),
            ffn=config.ffn,
            normalized=True,
            layers=(True,) * config.layers,
            names=self.expert_names,
        )
        return replace(super().features(reader, config), experts=experts)
