"""A mix is told in a line for each kind of weight."""

from __future__ import annotations

from convert.mixing_table import Mixed, kind_and_layer, ranges, table


def mixed(name, encoding, nbytes=50, kld=0.001):
    return Mixed(name, encoding, 100, nbytes, kld)


def test_numbers_are_joined_to_ranges():
    assert ranges([7, 0, 1, 2, 5]) == "0-2,5,7"
    assert ranges([]) == ""


def test_a_name_has_a_kind_and_a_layer():
    assert kind_and_layer("model.layers.12.mlp.up_proj.weight") == ("mlp.up_proj", 12)
    assert kind_and_layer("h.3.mlp.dense_h_to_4h.weight") == ("mlp.dense_h_to_4h", 3)
    assert kind_and_layer("lm_head.weight") == ("lm_head", None)


def test_a_kind_says_which_layers_have_which_encoding():
    weights = [mixed(f"model.layers.{n}.mlp.up_proj.weight", "int4") for n in (0, 1, 3)]
    weights.append(mixed("model.layers.2.mlp.up_proj.weight", "int8", 100, 0.25))
    weights.append(mixed("lm_head.weight", "int8", 100))
    lines = table(weights)
    assert len(lines) == 3
    assert lines[1].split() == ["mlp.up_proj", "5.00", "0.2530", "int4", "(0-1,3),", "int8", "(2)"]
    assert lines[2].split() == ["lm_head", "8.00", "0.0010", "int8"]


def test_eighty_layers_take_a_line():
    weights = [mixed(f"model.layers.{n}.mlp.up_proj.weight", "int4") for n in range(80)]
    assert len(table(weights)) == 2
