"""The options of a deployment: what is refused, and what gives way to the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.architectures import architecture_of
from convert.errors import UsageError
from targets.gaudi.options import GaudiOptions, parse_options

RAW = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 128,
}
CONFIG = architecture_of(RAW).parse(RAW)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"card": "gaudi4"}, "card"),
        ({"speed": 3}, "speed"),
        ({"cards": 0}, "cards"),
        ({"batch": "many"}, "batch"),
        ({"kv_cache": "fp8", "card": "gaudi1"}, "no FP8"),
        ({"lengths": "no/such/file"}, "no/such/file"),
    ],
)
def test_bad_options_are_refused_by_name(options, named):
    with pytest.raises(UsageError) as caught:
        parse_options(options)
    assert named in str(caught.value)


def test_defaults_are_those_of_a_gaudi2():
    options = parse_options({})
    assert options.hardware.fp8_largest == 240
    assert (options.cards, options.batch, options.graphs) == (1, 1, True)


@given(
    st.integers(2, 100_000),
    st.none() | st.integers(1, 10_000),
    st.none() | st.integers(1, 10_000),
)
def test_prompt_and_answer_fit_the_positions_of_the_model(positions, prompt, new):
    config = replace(CONFIG, max_positions=positions)
    options = GaudiOptions(prompt_tokens=prompt, new_tokens=new)
    longest, context = options.longest_prompt(config), options.context(config)
    assert 1 <= longest < context <= positions
    as_asked = (prompt or longest) == longest and (new or context - longest) == context - longest
    assert (options.shortened(config) is None) == as_asked
    if (prompt or 1024) + (new or 1024) <= positions:
        assert as_asked
