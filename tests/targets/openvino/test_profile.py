"""Every operator of the compiled model counts as one of the four kinds."""

from __future__ import annotations

import pytest

from targets.openvino.profile import COUNTING, kind_of, table, time_by_kind
from targets.openvino.run import OpenVinoRunner
from tests.support.models import small_model
from tests.targets.openvino.artifacts import convert, encode_as


@pytest.mark.parametrize(
    ("name", "operator", "kind"),
    [
        ("model.layers.0.self_attn.q_proj.MatMul", "FullyConnected", "linear"),
        ("model.layers.0.mlp.down_proj.MatMul", "LLMMLP", "linear"),
        ("lm_head.MatMul", "FullyConnectedCompressed", "linear"),
        ("model.layers.0.self_attn.lf_gate.conv1.MatMul", "FullyConnected", "localized filtering"),
        ("model.layers.0.self_attn.lf_gate.conv2.MatMul.AllReduce", "Reference", "collectives"),
        ("logits.part.AllGather", "Reference", "collectives"),
        ("model.norm.RMSNormalization", "RMS", "rest"),
    ],
)
def test_kinds(name, operator, kind):
    assert kind_of(name, operator) == kind


@pytest.mark.parametrize("encoding", ["bf16", "nf4_g16"])
def test_a_model_with_filtering(tmp_path, encoding):
    artifact = convert(small_model("yuan"), tmp_path / "yuan", quantize=encode_as(encoding))
    runner = OpenVinoRunner(artifact, threads=2, overrides=COUNTING)
    runner.feed([1, 2, 3])
    times = time_by_kind(runner.operators())
    assert {"linear", "localized filtering", "rest"} <= times.keys()
    assert all(times[kind] > 0 for kind in ("linear", "localized filtering", "rest"))


def test_a_table():
    text = table({"linear": 3000, "rest": 1000}, 2)
    assert text.splitlines() == [
        "linear                    1.500 ms  75.0%",
        "localized filtering       0.000 ms   0.0%",
        "collectives               0.000 ms   0.0%",
        "rest                      0.500 ms  25.0%",
        "together                  2.000 ms",
    ]
