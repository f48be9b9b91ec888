"""Decoder layers are found in every graph."""

import dataclasses

from passes.autoround.blocks import blocks_of, memory_to_round
from passes.calibration.steps import plan
from tests.support.models import small_model


def test_a_block_has_all_the_matrices_of_a_layer_and_no_others():
    first, second = blocks_of(plan(small_model("llama").graph(), logits=False))
    for number, block in enumerate((first, second)):
        assert len(block.weights) == 7
        assert all(name.startswith(f"model.layers.{number}.") for name in block.weights)
    assert first.result is second.source


def test_memory_is_that_of_the_largest_layer_however_many_there_are():
    def needed(**sizes):
        return memory_to_round(plan(small_model("llama", **sizes).graph(), logits=False))

    block = blocks_of(plan(small_model("llama").graph(), logits=False))[0]
    weights = sum(weight.rows * weight.columns for weight in block.weights.values())
    assert needed() == needed(num_hidden_layers=3) == 32 * weights
    assert needed(intermediate_size=200) > needed()


def test_a_plan_without_attention_has_no_blocks():
    whole = plan(small_model("llama").graph(), logits=False)
    cut = tuple(step for step in whole.steps if step.layer is None)
    assert blocks_of(dataclasses.replace(whole, steps=cut)) == []
    assert memory_to_round(dataclasses.replace(whole, steps=())) == 0
