"""Tensors of a checkpoint find their parameters by transformers' own mapping."""

import numpy as np
import onnx_ir as ir
import pytest

from convert.importing.binding import bound
from convert.importing.describing import describe, described, is_ignored, tied_names
from convert.weights import ArrayWeight
from tests.support.imported import original, raw_config, weights_of

NOTES = {"tricast.tied": '{"head": "table"}', "tricast.ignored": '["\\\\.masked_bias$"]'}


def graph(**notes):
    empty = ir.Graph([], [], nodes=[], opset_imports={"": 24}, name="some")
    return ir.Model(empty, ir_version=11, metadata_props={**NOTES, **notes})


def weight(name, rows=4):
    return ArrayWeight(name, np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32))


def weights(*names):
    return {name: weight(name) for name in names}


def test_names_of_the_graph_need_no_mapping():
    found = bound(graph(), ["table", "w"], weights("table", "w"), lambda: pytest.fail("asked"))
    assert list(found) == ["table", "w"]


def test_what_transformers_drops_is_dropped_unless_it_is_a_parameter():
    model, given = graph(), weights("table", "own.masked_bias", "other.masked_bias")
    found = bound(model, ["table", "own.masked_bias"], given, lambda: pytest.fail("asked"))
    assert list(found) == ["table", "own.masked_bias"]
    assert is_ignored(model, "x.masked_bias") and not is_ignored(model, "x.bias")


def test_a_tied_parameter_may_be_stored_under_its_other_name():
    found = bound(graph(), ["table"], weights("head"), lambda: pytest.fail("asked"))
    assert [(name, each.name) for name, each in found.items()] == [("table", "table")]
    assert tied_names(graph()) == {"head": "table"}


def test_a_model_saved_without_its_head_lacks_the_prefix():
    from convert.importing.graphs import imported_graph
    from convert.importing.skeleton import skeleton

    raw = raw_config("gemma2", num_hidden_layers=1)
    made = skeleton(raw)
    model = imported_graph(made)
    describe(model, made)
    whole = weights_of(original(raw))
    bare = {
        name.removeprefix("model."): ArrayWeight(name.removeprefix("model."), each.array)
        for name, each in whole.items()
    }
    found = bound(model, list(whole), bare, lambda: made)
    assert found.keys() == whole.keys()
    assert all(found[name].name == name for name in whole)
    assert described(model).layers == 1
