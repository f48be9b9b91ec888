"""Imported graphs are kept by their config and all that made them."""

import onnx_ir as ir
import pytest

from convert.importing import graph_cache
from convert.importing.graph_cache import graph_of, has, key_of, restored, serialized
from passes.base import fingerprint

RAW = {"model_type": "some", "hidden_size": 8, "transformers_version": "5"}


@pytest.fixture
def small():
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(("batch", 2)))
    weight = ir.Value(name="w", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2,)))
    node = ir.Node("", "Add", (x, weight), name="sum")
    node.outputs[0].name = "y"
    graph = ir.Graph([x], node.outputs, nodes=[node], opset_imports={"": 24}, name="some")
    graph.initializers["w"] = weight
    return ir.Model(graph, ir_version=11, metadata_props={"some.key": "kept"})


@pytest.fixture
def made(small, monkeypatch):
    """Configs that a graph was made for."""
    configs = []
    monkeypatch.setattr(graph_cache, "_made", lambda raw: configs.append(raw) or small)
    graph_cache._graph.cache_clear()
    yield configs
    graph_cache._graph.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tricast" / "imported"


def test_a_graph_comes_back_as_it_was(small):
    data = serialized(small)
    back = restored(ir.from_proto(graph_cache._parsed(data)))
    assert fingerprint(back) == fingerprint(small)
    assert serialized(back) == data
    assert [value.name for value in back.graph.inputs] == ["x"]
    assert back.graph.initializers["w"].const_value is None


def test_a_kept_graph_is_there_for_other_processes(small, folder, made):
    assert not has(RAW)
    graph_of(RAW)
    graph_cache._graph.cache_clear()
    assert has(RAW)
    assert fingerprint(graph_of(RAW)) == fingerprint(small)
    assert made == [RAW]


def test_every_caller_has_a_graph_of_its_own(small, folder, made):
    graph_of(RAW).graph.node(0).name = "changed"
    assert fingerprint(graph_of(RAW)) == fingerprint(small)
    assert made == [RAW]


@pytest.mark.parametrize("size", [0, 40, -1])
def test_a_damaged_file_is_as_good_as_none(size, small, folder, made):
    graph_of(RAW)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:size])
    graph_cache._graph.cache_clear()
    assert fingerprint(graph_of(RAW)) == fingerprint(small)
    assert made == [RAW, RAW]


def test_without_a_folder_graphs_are_kept_for_the_process(small, made, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert fingerprint(graph_of(RAW)) == fingerprint(graph_of(RAW)) == fingerprint(small)
    assert made == [RAW]


def test_the_key_is_of_what_matters(monkeypatch):
    assert key_of(RAW) == key_of({**RAW, "transformers_version": "6", "dtype": "float16"})
    assert key_of(RAW) != key_of({**RAW, "hidden_size": 16})
    before = key_of(RAW)
    monkeypatch.setattr(graph_cache, "_versions", lambda: ("another",))
    assert key_of(RAW) != before
