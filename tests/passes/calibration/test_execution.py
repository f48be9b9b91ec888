"""The numpy run of a graph equals transformers, and shows observers what flows through it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import onnx_ir as ir
import pytest

from convert.architectures import architecture_of
from convert.checkpoint import open_checkpoint
from convert.errors import NonFiniteWeightError, TruncatedFileError, UnsupportedError, UsageError
from convert.parameter import Parameter
from convert.weights import ArrayWeight, FileWeight, FloatType
from passes.calibration import reading
from passes.calibration.execution import bytes_to_read, logits, run
from passes.calibration.observers import Observer
from passes.kv_cache import DynamicCache
from passes.quantize import Policy, Quantize
from tests.support.models import SMALL, random_ids, small_model
from tests.support.odd_models import EXPERT_MODELS, ODD_MODELS
from tests.support.ort import relative_error
from tests.support.safetensors_bytes import write_checkpoint

TOLERANCE = 1e-4
"""Largest difference, in standard deviations of the logits."""


def texts(model, *lengths: int):
    return [random_ids(1, n, model.config.vocab, seed=n + i)[0] for i, n in enumerate(lengths)]


@pytest.fixture(scope="module")
def llama():
    return small_model("llama", attention_bias=True)


@pytest.mark.parametrize("name", ODD_MODELS | EXPERT_MODELS)
def test_logits_of_each_text_equal_transformers(name):
    family, changes = (ODD_MODELS | EXPERT_MODELS)[name]
    model = small_model(family, **changes)
    chosen = texts(model, 23, 1, 40, 23)
    found = logits(model.graph(), chosen)
    for text, values in zip(chosen, found, strict=True):
        assert relative_error(values, model.logits(text[None])[0]) < TOLERANCE


def test_blocks_of_rows_change_nothing(llama, monkeypatch):
    chosen = texts(llama, 9, 5)
    whole = logits(llama.graph(), chosen)
    monkeypatch.setattr(reading, "BLOCK_BYTES", 7 * 4 * 48)
    for found, expected in zip(logits(llama.graph(), chosen), whole, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_long_text_is_attended_to_in_parts(llama, monkeypatch):
    chosen = texts(llama, 37)
    whole = logits(llama.graph(), chosen)
    monkeypatch.setattr("passes.calibration.attention.QUERIES_AT_A_TIME", 8)
    np.testing.assert_allclose(logits(llama.graph(), chosen)[0], whole[0], rtol=0, atol=1e-5)


class Recorder(Observer):
    """Keeps all that it is shown."""

    def __init__(self) -> None:
        self.inputs, self.rows, self.heads = {}, {}, {}

    def linear(self, weight, inputs):
        assert weight not in self.inputs
        self.inputs[weight] = inputs.copy()

    def weight(self, name, start, rows):
        held = self.rows.setdefault(name, [])
        assert start == sum(map(len, held))
        held.append(rows.copy())

    def attention(self, layer, queries, keys, values):
        self.heads.setdefault(layer, []).append((queries.copy(), keys.copy(), values.copy()))


def hooked_inputs(model, chosen):
    """The inputs of every linear layer of the original, all texts together."""
    import torch

    found: dict[str, list] = {}

    def hook(name):
        return lambda module, inputs: found.setdefault(name, []).append(inputs[0].numpy()[0])

    handles = [
        module.register_forward_pre_hook(hook(f"{name}.weight"))
        for name, module in model.torch_model.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    for text in chosen:
        model.logits(text[None])
    for handle in handles:
        handle.remove()
    return {name: np.concatenate(parts) for name, parts in found.items()}


@pytest.mark.parametrize(
    ("family", "changes"), [("llama", {}), ("qwen3", {"tie_word_embeddings": True})]
)
def test_observers_see_the_inputs_and_weights_of_every_linear_layer(family, changes):
    model, seen = small_model(family, **changes), Recorder()
    chosen = texts(model, 11, 4, 11)
    run(model.graph(), chosen, [seen])
    expected = hooked_inputs(model, chosen)
    if model.config.tied:
        expected["model.embed_tokens.weight"] = expected.pop("lm_head.weight")
    assert seen.inputs.keys() == expected.keys() == seen.rows.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(seen.inputs[name], values, rtol=0, atol=1e-4)
        weight = model.weights[name].read_rows(0, model.weights[name].rows)
        np.testing.assert_array_equal(np.concatenate(seen.rows[name]), weight)


def test_observers_see_the_keys_and_values_that_a_cache_would_hold():
    import torch
    from transformers import DynamicCache as Cache

    model, seen = small_model("llama"), Recorder()
    [text] = texts(model, 13)
    run(model.graph(), [text], [seen])
    cache = Cache(config=model.torch_model.config)
    with torch.no_grad():
        model.torch_model(torch.from_numpy(text[None]), past_key_values=cache)
    assert sorted(seen.heads) == [0, 1]
    for layer, [(queries, keys, values)] in seen.heads.items():
        assert queries.shape == (6, 13, 8)
        held = cache.layers[layer]
        np.testing.assert_allclose(keys, held.keys[0].numpy(), rtol=0, atol=1e-4)
        np.testing.assert_allclose(values, held.values[0].numpy(), rtol=0, atol=1e-4)


def test_observers_see_the_inputs_of_convolutions():
    model, seen = small_model("yuan"), Recorder()
    run(model.graph(), texts(model, 6, 1), [seen])
    scope = "model.layers.0.self_attn"
    inner = seen.inputs[f"{scope}.lf_gate.conv1.weight"]
    np.testing.assert_array_equal(inner, seen.inputs[f"{scope}.v_proj.weight"])
    assert seen.inputs[f"{scope}.lf_gate.conv2.weight"].shape == (7, 24)


class CountedWeight(ArrayWeight):
    """Counts the rows that are read."""

    def read_rows(self, start, stop):
        counts[self.name] = counts.get(self.name, 0) + stop - start
        return super().read_rows(start, stop)


counts: dict[str, int] = {}


def peak_of(folder, layers):
    """Bytes allocated at most while a checkpoint of zeros is run."""
    settings = {**SMALL, "hidden_size": 64, "intermediate_size": 1024, "num_attention_heads": 4}
    settings |= {"num_hidden_layers": layers, "architectures": ["LlamaForCausalLM"]}
    settings |= {"model_type": "llama"}
    architecture = architecture_of(settings)
    config = architecture.parse(settings)
    shapes = {name: list(shape) for name, shape in architecture.parameters(config).items()}
    weights = open_checkpoint(str(write_checkpoint(folder, settings, {"one.safetensors": shapes})))
    graph = architecture.build(config, weights.weights)
    tracemalloc.start()
    try:
        run(graph, [[1] * 40, [2] * 40, [3] * 7])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_layers(tmp_path):
    assert peak_of(tmp_path / "ten", 10) < 1.1 * peak_of(tmp_path / "two", 2)


def test_every_weight_is_read_once_and_of_the_embedding_only_the_rows_of_the_texts(llama):
    graph, read = llama.graph(), []
    for name, weight in llama.weights.items():
        counted = CountedWeight(name, weight.array)
        graph.graph.initializers[name].const_value = Parameter(counted)
    counts.clear()
    run(graph, [[5, 6, 5], [6, 5], [7]], advance=read.append)
    assert counts.pop("model.embed_tokens.weight") == 2 + 2 + 1
    assert "model.norm.weight" in counts
    assert counts == {name: llama.weights[name].rows for name in counts}
    assert counts.keys() == llama.weights.keys() - {"model.embed_tokens.weight"}
    assert sum(read) == bytes_to_read(graph)


@pytest.mark.parametrize("dtype", FloatType)
def test_every_storage_type_becomes_float32(dtype):
    values = np.array([[1.5, -0.0, 3e-39], [-np.inf, 65504, 1e-7]], np.float32)
    rows = values.astype(dtype.numpy)
    np.testing.assert_array_equal(reading.as_float32(rows), rows.astype(np.float32))


def test_an_operator_without_an_entry_is_named_before_anything_is_read(llama):
    graph, read = llama.graph(), []
    node = [node for node in graph.graph if node.op_type == "Sigmoid"][-1]
    node.op_type = "HardSigmoid"
    with pytest.raises(UnsupportedError, match="HardSigmoid") as caught:
        run(graph, [[1, 2]], advance=read.append)
    assert str(node.name) in str(caught.value)
    assert not read


def test_an_attribute_without_an_entry_is_an_error_that_names_it(llama):
    graph = llama.graph()
    node = next(node for node in graph.graph if node.op_type == "Attention")
    node.attributes.add(ir.AttrInt64("is_causal", 1))
    with pytest.raises(UnsupportedError, match="is_causal of Attention"):
        run(graph, [[1, 2]])


def test_a_convolution_with_attributes_is_refused():
    graph = small_model("yuan").graph()
    node = next(node for node in graph.graph if node.op_type == "Conv")
    node.attributes.add(ir.AttrInt64s("strides", [2, 1]))
    with pytest.raises(UnsupportedError, match="Conv with attributes"):
        run(graph, [[1, 2]])


def test_a_graph_with_a_cache_is_refused(llama):
    graph = llama.graph()
    DynamicCache()(graph)
    with pytest.raises(UnsupportedError, match="without a cache"):
        run(graph, [[1, 2]])


def test_a_quantized_graph_is_refused(llama):
    graph = llama.graph()
    Quantize(Policy("bf16", "bf16", "bf16", (), ("bf16",), vectors="bf16"))(graph)
    with pytest.raises(UnsupportedError, match="original's weights"):
        run(graph, [[1, 2]])


@pytest.mark.parametrize("chosen", [[], [[]], [[1], []]])
def test_nothing_to_read_is_refused(llama, chosen):
    with pytest.raises(UsageError, match="nothing to run"):
        run(llama.graph(), chosen)


@pytest.mark.parametrize("token", [-1, 101])
def test_a_token_outside_the_vocabulary_is_refused(llama, token):
    with pytest.raises(UsageError, match=r"model\.embed_tokens\.weight has no row") as caught:
        run(llama.graph(), [[1, token]])
    assert str(token) in str(caught.value)


def test_activations_that_are_not_finite_are_refused(llama):
    graph, name = llama.graph(), "model.layers.0.self_attn.v_proj.weight"
    damaged = llama.weights[name].array.copy()
    damaged[0, 0] = np.nan
    graph.graph.initializers[name].const_value = Parameter(ArrayWeight(name, damaged))
    with pytest.raises(NonFiniteWeightError, match=r"layers\.0\.self_attn\.o_proj"):
        run(graph, [[1, 2]])


def test_a_damaged_file_is_reported_from_the_thread_that_reads(llama, tmp_path):
    graph, name = llama.graph(), "model.layers.0.self_attn.v_proj.weight"
    short = tmp_path / "short"
    short.write_bytes(bytes(100))
    weight = FileWeight(name, llama.weights[name].shape, FloatType.F32, short, 0)
    graph.graph.initializers[name].const_value = Parameter(weight)
    with pytest.raises(TruncatedFileError, match="v_proj"):
        run(graph, [[1, 2]])
