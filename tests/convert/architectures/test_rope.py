"""Inverse frequencies equal those of transformers but for a rare last bit."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

from convert.architectures.rope import inverse_frequencies
from tests.convert.architectures.configs import parse, raw_config

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
SCALINGS = {
    "default": None,
    "linear": {"type": "linear", "factor": 2.5},
    "llama3": LLAMA3,
    "llama3, factor 32": {**LLAMA3, "factor": 32.0, "original_max_position_embeddings": 8192},
    "yarn": YARN,
    "yarn, long": {**YARN, "original_max_position_embeddings": 32768},
    "yarn, other ramp": {**YARN, "beta_fast": 8.0, "beta_slow": 2.0},
    "yarn, ramp of no width": {**YARN, "beta_fast": 2.0, "beta_slow": 2.0},
    "yarn, attention factor": {**YARN, "attention_factor": 0.75},
    "yarn, mscale": {**YARN, "mscale": 0.7, "mscale_all_dim": 1.3},
    "yarn, one mscale": {**YARN, "mscale": 0.7},
    "yarn, factor from lengths": {**YARN, "factor": None},
}


@pytest.mark.parametrize("theta", [10000.0, 500000.0])
@pytest.mark.parametrize("head_dim", [8, 20, 36, 128])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_frequencies_and_attention_factor_are_those_of_transformers(scaling, head_dim, theta):
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    changes = {"head_dim": head_dim, "rope_theta": theta, "rope_scaling": SCALINGS[scaling]}
    ours = parse(**changes).rope
    theirs = LlamaRotaryEmbedding(LlamaConfig(**deepcopy(raw_config(**changes))))
    frequencies = inverse_frequencies(ours, head_dim)
    assert frequencies.dtype == np.float32
    expected = theirs.inv_freq.numpy()
    np.testing.assert_array_max_ulp(frequencies, expected, maxulp=1)
    assert (frequencies != expected).sum() <= 1
    assert ours.attention_factor == pytest.approx(theirs.attention_scaling, rel=1e-12)


def test_the_scalings_differ_from_each_other():
    """Otherwise the test above could not tell them apart."""
    ropes = [parse(head_dim=36, rope_scaling=SCALINGS[name]).rope for name in list(SCALINGS)[:6]]
    frequencies = [tuple(inverse_frequencies(rope, 36)) for rope in ropes]
    assert len(set(frequencies)) == len(frequencies)
