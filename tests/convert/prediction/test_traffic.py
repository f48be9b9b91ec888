"""What devices hold and multiply is counted from shapes: nothing twice, nothing left out."""

from __future__ import annotations

import pytest

from convert.architectures import architecture_of
from convert.prediction.traffic import arithmetic, held_bytes, traffic
from convert.preparation import resolve_encoding, stored_graph
from convert.recipe import Artifact
from convert.unread_weights import unread_weights
from passes.encodings import encoding
from passes.quantize import coverage
from targets.deployment import Workload
from tests.support.raw_configs import small_raw_config


def counted(family, to="onnx", stored="bf16", **work):
    raw = small_raw_config(family)
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    weights = unread_weights(architecture.parameters(config), raw)
    artifact = resolve_encoding(Artifact(format=to, encoding=stored))
    graph = stored_graph(raw, config, weights, artifact, strict=False)
    found = traffic(config, graph, Workload(1, 1, 2, **work))
    return found, config, graph


@pytest.mark.parametrize("family", ["llama", "bloom", "yuan", "qwen3_moe"])
def test_one_device_holds_every_byte_once(family):
    found, _, graph = counted(family)
    assert found.held == sum(tensor.nbytes for tensor in coverage(graph))


@pytest.mark.parametrize("family", ["llama", "bloom"])
def test_devices_share_layers(family):
    whole, config, _ = counted(family)
    part, _, _ = counted(family, devices=2)
    assert part.linear.elements == pytest.approx(whole.linear.elements / 2)
    assert part.embedding == whole.embedding / 2
    assert part.vectors == whole.vectors
    kept, _, _ = counted(family, devices=2, whole_embedding=True)
    assert kept.embedding == whole.embedding
    if config.tied:
        # A device multiplies with a copy of a part of the embedding, which it holds besides.
        assert kept.held > part.held + whole.embedding / 2


def test_heads_of_keys_are_copied_where_there_are_fewer_than_devices():
    whole, config, _ = counted("llama")
    part, _, _ = counted("llama", devices=6)
    keys = 2 * config.layers * config.hidden * config.head_dim
    even = whole.linear.elements / 6
    assert part.linear.elements == pytest.approx(even + keys * (1 - config.kv_heads / 6))


def test_kinds_are_told_apart():
    yuan, config, _ = counted("yuan")
    assert yuan.convolutions.elements == config.layers * 2 * config.hidden**2
    fused, _, _ = counted("yuan", to="openvino", stored="int8")
    assert fused.convolutions.elements == yuan.convolutions.elements
    mixed, _, _ = counted("qwen3_moe")
    assert mixed.experts.elements > mixed.linear.elements > 0


def test_scales_of_scales_are_held_as_floats():
    rows, columns = 8, 256
    plain, nested = encoding("nf4"), encoding("nf4_dq")
    assert held_bytes(plain, rows, columns) == plain.nbytes(rows, columns)
    assert held_bytes(nested, rows, columns) == rows * (columns // 2 + 4 * columns // 64)
    assert held_bytes(nested, rows, columns) > nested.nbytes(rows, columns)


MULTIPLIED = {
    "int8": ("q4_0", "w8a8"),
    "bf16": ("int8", "nf4", "bf16", "f16"),
    "f32": ("f32",),
    "fp8": ("fp8", "fp8_240"),
}


@pytest.mark.parametrize("found", MULTIPLIED)
def test_what_weights_are_multiplied_as(found):
    assert {arithmetic(encoding(name)) for name in MULTIPLIED[found]} == {found}
