"""The verdict reads well, whatever was and was not compared."""

from __future__ import annotations

from dataclasses import replace

from convert.gate_lines import gate_lines, weight_line
from convert.weight_errors import WeightError
from golden.format import ModelIdentity
from golden.metrics import Summary
from golden.result import GateResult, Parity, Sample
from golden.thresholds import thresholds_for

FIGURES = Summary(
    positions=40, non_finite=0, mean_kld=0.00123456, max_kld=0.1, top1=0.975, perplexity_ratio=1.01
)
RESULT = GateResult(
    target="gguf",
    golden=ModelIdentity(label="m", config_sha256="", digest="", vocab=8),
    overall=FIGURES,
    decoded=FIGURES,
    faithful=None,
    prompts=(FIGURES,),
    tokenizer=Parity(10, 1, "differs"),
    chat=Parity(0, 0, "no template"),
    sample=Sample((1,), (2,), "Once", " upon\na time"),
    thresholds=thresholds_for("q8_0"),
    failures=(),
)


def test_figures_stand_beside_their_thresholds():
    lines = gate_lines(RESULT)
    assert lines[0] == (
        "mean KL 0.001235 nats (at most 0.02), top-1 97.5% (at least 92%), "
        "perplexity ratio 1.0100 (at most 1.04) over 40 positions"
    )
    assert "tokenizer: 9 of 10 texts equal (differs)" in lines
    assert "chat template: not checked (no template)" in lines
    assert lines[-1] == "sample: Once| upon a time"


def test_the_comparison_under_the_stored_weights_is_shown_where_it_was_made():
    lines = gate_lines(replace(RESULT, faithful=FIGURES))
    assert any("same stored weights: mean KL 0.001235" in line for line in lines)
    assert not any("same stored weights" in line for line in gate_lines(RESULT))


def test_the_worst_tensor_stands_beside_its_threshold():
    line = weight_line(WeightError("layer.0", 0.0123), thresholds_for("q8_0"))
    assert line == "stored weights: layer.0 differs most, by 1.23% (at most 6.00%)"
