"""Biases that grow with the place of the key are those of the hand-written graphs."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.architecture import Imported
from convert.importing.raising.linear_biases import RaiseLinearBiases, slopes_of
from targets.openvino.alibi import _is_slopes
from tests.support.imported import largest_differences, raw_config

MODELS = {
    "bloom": {"n_layer": 2, "n_head": 6},
    "mpt": {"d_model": 48, "n_heads": 6, "n_layers": 2, "max_seq_len": 64},
    "falcon": {"alibi": True, "multi_query": False, "head_dim": ...},
}


def constant(array):
    tensor = ir.tensor(np.asarray(array))
    return ir.Value(name="table", shape=ir.Shape(tensor.shape), const_value=tensor)


def test_a_table_that_is_linear_in_the_place():
    slopes = np.array([0.5, 0.25], np.float32)
    places = np.arange(-7, 1, dtype=np.float32)
    found = slopes_of(constant(slopes[:, None, None] * places))
    np.testing.assert_allclose(found, slopes, rtol=1e-6)


@pytest.mark.parametrize(
    "table",
    [
        np.arange(8.0) ** 2 * np.ones((2, 1, 1)),
        np.zeros((2, 1, 8)),
        np.ones((2, 3, 8)),
        np.arange(8),
    ],
)
def test_other_tables(table):
    assert slopes_of(constant(table)) is None


def test_a_graph_without_masks_stays():
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 24}, name="some")
    assert not RaiseLinearBiases()(ir.Model(graph, ir_version=11))
    assert slopes_of(None) is None


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(MODELS))
def test_models_with_linear_biases(family):
    raw = raw_config(family, **MODELS[family])
    found = largest_differences(raw)
    assert max(found.values()) < 1e-5, found
    graph = Imported(raw, raw["architectures"][0])._graph().graph
    masks = {node.inputs[3] for node in graph if node.op_type == "Attention"}
    (chosen,) = [mask.producer() for mask in masks]
    assert chosen.op_type == "Where" and any(map(_is_slopes, chosen.inputs[1].producer().inputs))
