"""Mixtral's own settings."""

from __future__ import annotations

import pytest

from convert.errors import BrokenInputError
from tests.convert.architectures.configs import parse


def test_every_layer_has_experts_as_the_hub_names_them():
    config = parse("mixtral", num_local_experts=6, num_experts_per_tok=3)
    experts = config.experts
    assert (experts.count, experts.used, experts.ffn) == (6, 3, config.ffn)
    assert experts.normalized
    assert experts.layers == (True,) * config.layers
    assert experts.names.module == "block_sparse_moe"
    assert experts.names.parts == ("w1", "w3", "w2")


def test_what_a_config_leaves_out_is_as_transformers_has_it():
    config = parse("mixtral", rope_theta=..., rms_norm_eps=...)
    assert (config.experts.count, config.experts.used) == (8, 2)
    assert (config.rope.theta, config.norm_eps) == (1e6, 1e-5)
    assert config.windows == (None,) * config.layers


def test_a_window_is_every_layers():
    assert parse("mixtral", sliding_window=7).windows == (7, 7, 7, 7)


def test_what_trains_a_router_is_passed_over():
    training = {
        "output_router_logits": True,
        "router_aux_loss_coef": 0.02,
        "router_jitter_noise": 0.1,
    }
    assert parse("mixtral", **training) == parse("mixtral")


def test_a_token_cannot_visit_more_experts_than_there_are():
    with pytest.raises(BrokenInputError, match="num_experts_per_tok") as caught:
        parse("mixtral", num_local_experts=2, num_experts_per_tok=3)
    assert "at most 2" in str(caught.value)
