"""The experts of a layer in one constant: what is stored is what is read back."""

from collections import Counter

import numpy as np
import pytest

from convert.graph import parameters
from convert.weights import ArrayWeight, read_float32
from targets.openvino.experts import NUMBER
from targets.openvino.run import EXACT, OpenVinoRunner
from targets.openvino.stored import stored_nodes, stored_weights
from tests.support.imported import VOCAB, imported_graph_of, original, plain_feed, raw_config
from tests.support.imported_openvino import ImportedIr
from tests.support.models import small_model
from tests.support.ort import OrtGraph
from tests.targets.openvino.artifacts import convert

RAW = {"num_local_experts": 8, "num_experts_per_tok": 2, "num_hidden_layers": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("encoding_name", "family"),
    [("f32", "gpt_oss"), ("bf16", "mixtral"), ("int8", "gpt_oss"), ("int4_g32", "mixtral")],
)
def test_matrices_of_experts_are_stored_one_behind_the_other(encoding_name, family, tmp_path):
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    raw = raw_config(family, hidden_size=64, intermediate_size=96, **RAW, **rope)
    ir = ImportedIr(raw, tmp_path, encoding_name)
    assert ir.kinds["GatherMatmul"] == 2
    assert any(NUMBER in name for name in stored_nodes(tmp_path))
    stored = dict(stored_weights(tmp_path))
    graph = imported_graph_of(raw, original(raw))
    found = parameters(graph)
    experts = [name for name in found if ".experts." in name]
    assert len(experts) == (32 if family == "gpt_oss" else 16)
    for name in experts:
        weight = found[name].weight
        values = weight.read_rows(0, weight.rows).reshape(weight.shape)
        most = {"f32": 1e-7, "bf16": 0.01, "int8": 0.01, "int4_g32": 0.15}[encoding_name]
        assert np.abs(stored[name] - values).max() <= most * np.abs(values).max(), name
    for name, parameter in found.items():
        parameter.weight = ArrayWeight(parameter.weight.name, stored[name])
    ids = np.random.default_rng(0).integers(3, VOCAB, (2, 11))
    expected = OrtGraph(graph)(**plain_feed(ids))["logits"]
    assert abs(ir.logits(ids) - expected).max() < 1e-4 * expected.std()


@pytest.mark.slow
def test_a_single_expert_is_multiplied_as_any_matrix(tmp_path):
    rope = {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
    sizes = {"hidden_size": 64, "intermediate_size": 96}
    one = {**RAW, "num_local_experts": 1, "num_experts_per_tok": 1}
    raw = raw_config("mixtral", **sizes, **one, **rope)
    ir = ImportedIr(raw, tmp_path, "int8")
    assert ir.kinds["GatherMatmul"] == 0
    graph = imported_graph_of(raw, original(raw))
    stored = dict(stored_weights(tmp_path))
    for name, parameter in parameters(graph).items():
        parameter.weight = ArrayWeight(parameter.weight.name, stored[name])
    ids = np.random.default_rng(0).integers(3, VOCAB, (2, 11))
    expected = OrtGraph(graph)(**plain_feed(ids))["logits"]
    assert abs(ir.logits(ids) - expected).max() < 1e-4 * expected.std()


def test_hand_written_mixtures_are_one_product_for_each_kind_of_matrix(tmp_path):
    small = small_model("mixtral")
    folder = convert(small, tmp_path / "ir")
    compiled = OpenVinoRunner(folder, threads=2, overrides=EXACT).compiled
    nodes = compiled.get_runtime_model().get_ops()
    kinds = Counter(str(node.get_rt_info()["layerType"].value) for node in nodes)
    # Gate, up and down of both layers; nothing is dealt out.
    assert kinds["GatherMatmul"] == 6
    stored = dict(stored_weights(folder))
    for name, parameter in parameters(small.graph()).items():
        values = read_float32(parameter.weight)
        np.testing.assert_array_equal(stored[name], values)
