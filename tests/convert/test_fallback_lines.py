"""Every tensor that fell back is named, in few lines."""

from __future__ import annotations

from convert.fallback_lines import fallback_lines
from passes.quantize import TensorCoverage


def tensor(name, encoding="int4_g64", fallback="too odd"):
    return TensorCoverage(name, (8, 8), "linear", encoding, 4.0, 32, fallback)


def test_layers_are_drawn_together():
    names = [f"model.layers.{number}.mlp.up_proj.weight" for number in (0, 1, 2, 5, 7, 8)]
    assert fallback_lines(map(tensor, names)) == [
        "model.layers.0-2,5,7-8.mlp.up_proj.weight: int4_g64, because too odd"
    ]


def test_experts_of_the_same_layers_are_drawn_together():
    names = [f"layers.{n}.experts.{e}.up.weight" for n in (0, 1, 3) for e in (0, 1, 2)]
    assert fallback_lines(map(tensor, [*names, "layers.0.experts.7.up.weight"])) == [
        "layers.0-1,3.experts.0-2.up.weight: int4_g64, because too odd",
        "layers.0.experts.7.up.weight: int4_g64, because too odd",
    ]


def test_other_reasons_and_encodings_have_their_own_lines():
    lines = fallback_lines(
        [
            tensor("a.0.weight"),
            tensor("a.1.weight", encoding="int8"),
            tensor("lm_head.weight"),
            tensor("a.2.weight", fallback=None),
        ]
    )
    assert lines == [
        "a.0.weight: int4_g64, because too odd",
        "a.1.weight: int8, because too odd",
        "lm_head.weight: int4_g64, because too odd",
    ]


def test_nothing_fell_back():
    assert fallback_lines([tensor("a", fallback=None)]) == []
