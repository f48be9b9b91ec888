"""Times are what is read, multiplied and exchanged; nothing is faster than the peaks."""

from __future__ import annotations

import pytest

from convert.hardware.profile import Hardware
from convert.prediction.kv_cache import KvCache
from convert.prediction.roofline import Machine, Roofline, _seen
from convert.prediction.traffic import Traffic, Weights
from targets.deployment import Workload
from tests.support.machines import MACHINE
from tests.support.raw_configs import small_config

HARDWARE = Hardware.model_validate(MACHINE)
ONE = Workload(batch=1, prompt=8, context=12)


def roofline(config, work=ONE, peaks=True, **traffic):
    weights = {"linear": Weights(1e9, 5e8)}
    none = Weights()
    counted = Traffic(
        **{
            **{"experts": none, "convolutions": none, "head": none},
            **{"embedding": 0, "vectors": 0, "tied": False},
            **weights,
            **traffic,
        }
    )
    cache = KvCache(config, work.devices, work.cache_bytes)
    return Roofline(config, counted, cache, work, Machine(HARDWARE, peaks))


def test_a_token_reads_all_weights():
    step = roofline(small_config("llama")).next_token(9)
    assert step.linear == pytest.approx(1e9 / 1e12)
    assert step.collectives == step.operators == 0


def test_a_long_prompt_is_bound_by_arithmetic():
    work = Workload(batch=4, prompt=200, context=210)
    step = roofline(small_config("llama"), work).first_token()
    assert step.linear == pytest.approx(2 * 5e8 * 800 / 1e14)


def test_shares_of_the_peaks_and_operators_come_on_top():
    config = small_config("llama")
    step = roofline(config, peaks=False).next_token(9)
    assert step.linear == pytest.approx(1e9 / 0.5e12)
    assert step.operators == pytest.approx(13 * config.layers * 1e-6)
    assert step.seconds > roofline(config).next_token(9).seconds
    assert sum(step.shares().values()) == pytest.approx(1)


def test_the_cache_is_read_for_each_sequence():
    config = small_config("llama")
    work = Workload(batch=3, prompt=8, context=12)
    step = roofline(config, work).next_token(10)
    read = 3 * 10 * 2 * config.layers * config.kv_heads * config.head_dim * 2
    assert step.attention == pytest.approx(read / 1e12)


def test_devices_add_up_twice_a_layer():
    config = small_config("llama")
    work = Workload(batch=2, prompt=8, context=12, devices=4, whole_embedding=True)
    sums = 2 * config.layers
    sent = sums * 2 * 0.75 * 2 * config.hidden * 2 + 0.75 * 2 * config.vocab * 2 / 4
    assert roofline(config, work).next_token(9).collectives == pytest.approx(sent / 1e11)
    slow = roofline(config, work, peaks=False).next_token(9).collectives
    assert slow == pytest.approx((sums + 1) * 1e-5 + sent / 0.5e11)


def test_of_experts_only_those_that_are_visited_are_read():
    config = small_config("mixtral")
    experts = config.experts
    share = experts.used / experts.count
    model = roofline(config, linear=Weights(), experts=Weights(1e9, 5e8))
    assert model.next_token(9).linear == pytest.approx(share * 1e9 / 1e12)
    many = Workload(batch=64, prompt=8, context=12)
    all_read = roofline(config, many, linear=Weights(), experts=Weights(1e9, 5e8))
    assert all_read.next_token(9).linear == pytest.approx(1e9 / 1e12, rel=1e-3)


def test_an_answer_takes_the_first_token_and_the_others():
    model = roofline(small_config("llama"))
    first, each = model.first_token().seconds, model.next_token(9).seconds
    assert model.generation() == pytest.approx(first + 3 * each, rel=1e-3)


@pytest.mark.parametrize("window", [None, 1, 3, 5, 8, 20])
@pytest.mark.parametrize(("tokens", "context"), [(1, 8), (8, 8), (3, 8)])
def test_what_tokens_see_is_counted_one_by_one(tokens, context, window):
    each = [min(place, window or place) for place in range(context - tokens + 1, context + 1)]
    assert _seen(tokens, context, window) == pytest.approx(sum(each) / tokens)
