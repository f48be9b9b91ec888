"""What a page shows, before it is a page: places, sizes, errors, words, verdicts."""

from __future__ import annotations

import math

import pytest

from convert.manifest import GateRecord
from convert.reporting import charts, drawing, tensors, verdict, wording
from convert.reporting.places import NORMS, Place, kinds, place
from convert.reporting.prompts import prompts
from convert.reporting.tensors import error_map, sizes, worst
from golden.details import PromptDetails
from tests.support import reports


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("model.layers.3.mlp.up_proj.weight", Place(3, "mlp.up_proj")),
        ("model.layers.3.mlp.up_proj.bias", Place(3, "mlp.up_proj.bias")),
        ("model.layers.12.mlp.experts.7.down_proj.weight", Place(12, "mlp.experts.*.down_proj")),
        ("h.0.self_attention.query_key_value.weight", Place(0, "self_attention.query_key_value")),
        ("lm_head.weight", Place(None, "lm_head")),
        ("blocks.7", Place(None, "blocks.7")),
        ("layers.²3.x", Place(None, "layers.²3.x")),
        ("", Place(None, "")),
    ],
)
def test_a_place_is_told_from_the_name(name, expected):
    assert place(name) == expected


def test_kinds_keep_their_order():
    assert kinds([Place(0, "b"), Place(0, "a"), Place(1, "b")]) == ("b", "a")


def test_sizes_by_kind_add_up():
    made = reports.manifest()
    found = sizes(made.tensors, reports.data(made).tensors)
    assert [one.kind for one in found] == ["model.embed_tokens", *reports.KINDS, NORMS]
    assert sum(one.after for one in found) == sum(one.bytes for one in made.tensors)
    assert sum(one.before for one in found) == 4096 * len(made.tensors)
    assert [one.before for one in sizes(made.tensors, {})] == [None] * len(found)


def test_many_small_kinds_are_taken_together():
    made = reports.manifest([f"model.layers.0.kind{n}.weight" for n in range(40)])
    found = sizes(made.tensors, {})
    assert len(found) == tensors.SHOWN_KINDS
    assert found[-1].kind == tensors.OTHERS
    assert found[-1].tensors == 40 - tensors.SHOWN_KINDS + 1
    assert sum(one.after for one in found) == 40 * 1152


def test_the_largest_error_of_a_place_counts():
    names = ["model.layers.0.experts.0.up.weight", "model.layers.0.experts.1.up.weight"]
    made = reports.manifest([*names, "model.layers.2.down.weight"])
    known = reports.data(made).tensors
    known[names[1]] = known[names[1]].model_copy(update={"error": 0.5})
    found = error_map(made.tensors, known)
    assert found.layers == (0, 2)
    assert found.kinds == ("experts.*.up", "down")
    assert found.values == ((0.5, None), (None, 0.09))
    assert worst(made.tensors, known, 1) == ((made.tensors[1], 0.5),)
    assert error_map(made.tensors, {}) is None


@pytest.mark.parametrize(
    ("value", "limit", "failures", "bound", "used"),
    [
        (0.823, 0.6, (), "at least", (1 - 0.823) / 0.4),
        (0.6, 0.6, (), "at most", 1.0),
        (0.5, 0.6, ("x",), "at least", 1.0),
    ],
)
def test_how_much_of_a_threshold_is_used(value, limit, failures, bound, used):
    overall = reports.Summary(40, 0, 0.154, 2.5, value, 1.16)
    found = reports.result(overall=overall, failures=failures)
    made = reports.manifest(gate=GateRecord(status="passed", result=found.to_json()))
    rows = {row.name: row for row in verdict.rows(made, verdict.result_of(made))}
    assert rows["top-1 agreement"].bound == bound
    assert rows["top-1 agreement"].used == pytest.approx(used)
    assert rows["perplexity ratio"].used == pytest.approx(0.16 / 0.7)
    assert rows["finite logits"].used is None
    assert rows["chat template"].state == verdict.UNCHECKED


def test_states():
    made = reports.manifest()
    skipped = reports.manifest(gate=GateRecord(status="unverified"))
    assert verdict.state(made, None) == verdict.PASSED
    assert verdict.state(skipped, None) == verdict.UNCHECKED
    assert verdict.state(skipped, reports.data(skipped, failures=("why",))) == verdict.FAILED
    assert verdict.rows(skipped, None) == ()


def test_prompts_have_their_figures_and_shades():
    first, second = prompts(reports.details())
    assert (first.number, first.tokens, first.largest) == (1, 5, 2.5)
    assert first.mean == pytest.approx((0.001 + 0.02 + 0.3 + 2.5) / 4)
    assert first.agreement == 0.6
    assert [word.heat for word in first.words] == [0, 1, 4, 3, 4]
    assert [word.differs for word in first.words] == [False, False, True, False, True]
    assert second.words is None
    assert prompts(None) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb\tc", "a\nb\tc"),
        ("\x00\x1b", "␀␛"),
        ("\x7f\x9b", "␡\\x9b"),
        ("\u202ex\u2066", "\\u202ex\\u2066"),
        ("\ud800", "\\ud800"),
        ("汉字 🦙", "汉字 🦙"),
        (7, 7),
    ],
)
def test_what_readers_could_stumble_over_is_shown(text, expected):
    assert wording.harmless(text) == expected


def test_numbers_read_well():
    assert [wording.readable_bytes(n) for n in (None, 0, 999, 1000, 91_726_784, 2.5e12)] == [
        *("unknown", "0 B", "999 B", "1 kB", "91.7 MB", "2.5 TB")
    ]
    assert [wording.figure(n) for n in (None, math.nan, 0.00402222)] == ["none", "none", "0.004022"]
    assert [wording.percent(n) for n in (None, math.inf, 0.9781)] == ["none", "none", "97.8 %"]
    assert [wording.seconds(n) for n in (None, 0.31, 119, 400, 9000)] == [
        *("unknown", "0.31 s", "119 s", "7 min", "2 h 30 min")
    ]


def test_labels_of_charts_are_plain_and_short():
    assert drawing.plain("self_attn.q_proj", 22) == "self_attn.q_proj"
    assert drawing.plain("\u6c49$x\x00", 22) == "?$x?"
    assert len(drawing.plain("x" * 99, 22)) == 22


def test_charts_of_nothing_are_none():
    nothing = PromptDetails((None,), (False,))
    assert charts.divergence_by_position((nothing,), 0.1) is None
    assert charts.divergence_by_prompt((nothing,), 0.1) is None
    assert charts.divergence_by_position((), None) is None
    assert charts.error_heat_map(None) is None
    assert charts.size_by_kind(()) is None
    assert charts.bytes_over_time(None) is None


def test_odd_figures_are_drawn():
    exact = PromptDetails((0.0, 0.0), (True, True))
    assert "0 nats" in charts.divergence_by_position((exact,), None)
    assert "prompt 1" in charts.divergence_by_prompt((exact,), 0.1)
    one = reports.manifest(["model.layers.5.only.weight"])
    assert "layer 5" in charts.error_heat_map(error_map(one.tensors, reports.data(one).tensors))
