"""FP8 layers and caches in static programs, against the arithmetic written out in numpy."""

import ml_dtypes
import numpy as np
import pytest
import torch

from convert.errors import PassRefusedError, TensorMismatchError
from convert.graph import attention_nodes, parameters
from convert.weights import read_float32
from passes.kv_cache import StaticCache
from targets.gaudi import fp8
from targets.gaudi.audit import audit
from targets.gaudi.linear import linear_layer
from targets.gaudi.lower import StaticDecoder, cache_dtypes
from targets.gaudi.scales import StoredScales, largest_code
from tests.support.models import small_model
from tests.support.ort import relative_error

LENGTH = 8
RANDOM = np.random.default_rng(0)
CODES = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn)


def codes_of(values, scale, largest):
    """The nearest codes, by looking at all of them."""
    known = np.unique(CODES.astype(np.float32)[np.isfinite(CODES.astype(np.float32))])
    known = known[np.abs(known) <= largest]
    scaled = np.clip((values / scale).astype(np.float32), -largest, largest)
    return known[np.abs(scaled[..., None] - known).argmin(-1)]


@pytest.mark.parametrize("largest", [240.0, 448.0])
@pytest.mark.parametrize("static", [True, False], ids=["static", "a token's own"])
def test_a_layer_multiplies_codes_and_sums_in_float32(largest, static):
    x = RANDOM.normal(size=(2, 3, 20)).astype(np.float32)
    weight = codes_of(RANDOM.normal(size=(5, 20)) * 100, 1, largest)
    weight_scale = RANDOM.uniform(0.01, 0.02, (5, 1)).astype(np.float32)
    bias = RANDOM.normal(size=5).astype(np.float32)
    own = np.abs(x).max(-1, keepdims=True) / np.float32(largest)
    scale = np.array([0.004], np.float32) if static else own
    expected = codes_of(x, scale, largest).astype(np.float64) @ weight.astype(np.float64).T
    expected = expected * scale * weight_scale[:, 0] + bias
    found = fp8.linear_fp8(
        {fp8.LARGEST_CODE: largest},
        torch.from_numpy(x),
        torch.from_numpy(weight).to(fp8.CODES),
        torch.from_numpy(bias),
        torch.from_numpy(weight_scale),
        torch.from_numpy(scale) if static else None,
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-6, atol=2e-5)


def test_codes_saturate_at_what_the_card_holds():
    x = torch.tensor([-1000.0, -300.0, 250.0, 100.0])
    assert fp8.quantize(x, torch.ones(1), 240.0).float().tolist() == [-240.0, -240.0, 240.0, 96.0]
    assert fp8.quantize(x, torch.ones(1), 448.0).float().tolist() == [-448.0, -288.0, 256.0, 96.0]


def test_a_token_of_zeros_has_no_scale_to_divide_by():
    found = fp8.linear_fp8(
        {fp8.LARGEST_CODE: 240.0},
        torch.zeros(1, 4),
        torch.ones(2, 4).to(fp8.CODES),
        None,
        torch.ones(1),
        None,
    )
    assert found.tolist() == [[0.0, 0.0]]


class Quantized:
    """A small model with FP8 layers and caches, and its float weights for the reference."""

    def __init__(self, *, layers=True, caches=True, static=True):
        self.small = small_model("llama", num_hidden_layers=1)
        self.graph = self.small.graph()
        StaticCache(batch=1, tokens=1, length=LENGTH)(self.graph)
        self.tensors = {
            name: torch.from_numpy(read_float32(one.weight))
            for name, one in parameters(self.graph).items()
        }
        for name in [name for name in self.tensors if "_proj.weight" in name and layers]:
            self._quantize(name, static)
        for kind in "kv" if caches else "":
            self.tensors[f"model.layers.0.self_attn.{kind}_scale"] = torch.tensor([0.05])

    def _quantize(self, name, static):
        scale = self.tensors[name].abs().amax(1, keepdim=True) / 240
        self.tensors[name] = (self.tensors[name] / scale).to(fp8.CODES)
        self.tensors[f"{name}_scale"] = scale
        if static:
            self.tensors[name.replace(".weight", ".input_scale")] = torch.tensor([0.05])

    def decoder(self):
        return StaticDecoder(self.graph, self.tensors, 240.0)


def logits_and_program(quantized, ids):
    decoder = quantized.decoder()
    weights = {name: quantized.tensors[name] for name in decoder.weights}
    dtypes = cache_dtypes(decoder, weights)
    caches = {
        name: torch.zeros(shape, dtype=dtypes[name]) for name, shape in decoder.caches.items()
    }
    found = []
    for position, token in enumerate(ids):
        mask = (torch.arange(LENGTH) <= position).long()[None]
        at = torch.tensor([position])
        given = (torch.tensor([[token]]), mask, at[None], at, weights, caches)
        found.append(decoder(*given)[0, 0].numpy())
    return np.stack(found), torch.export.export(decoder, given), caches


@pytest.mark.parametrize("static", [True, False])
def test_a_model_in_fp8_is_close_to_the_original_and_can_be_captured(static):
    quantized = Quantized(static=static)
    ids = [3, 1, 4, 1, 5]
    found, program, caches = logits_and_program(quantized, ids)
    audit(program)
    assert {cache.dtype for cache in caches.values()} == {fp8.CODES}
    exact = quantized.small.logits(np.array([ids]))[0]
    assert 1e-3 < relative_error(found, exact) < 0.5


def test_layers_and_caches_are_fp8_one_without_the_other():
    for given in ({"caches": False}, {"layers": False}):
        quantized = Quantized(**given)
        _, _, caches = logits_and_program(quantized, [3])
        kind = torch.float32 if "caches" in given else fp8.CODES
        assert {cache.dtype for cache in caches.values()} == {kind}


def test_an_fp8_embedding_is_refused():
    quantized = Quantized(caches=False)
    quantized._quantize("model.embed_tokens.weight", False)
    with pytest.raises(PassRefusedError, match=r"Gather cannot read the FP8 weight.*embed_tokens"):
        quantized.decoder()


def test_a_cache_with_one_scale_of_two_is_refused():
    quantized = Quantized()
    del quantized.tensors["model.layers.0.self_attn.v_scale"]
    with pytest.raises(TensorMismatchError, match="some keys or values"):
        quantized.decoder()


def test_the_flavour_of_a_gaudi2_stands_for_its_range():
    flavoured = {"quantization_config": {"fp8_dtype_flavor": "float8_e4m3fnuz"}}
    assert largest_code(flavoured) == 240.0
    assert largest_code({}) == largest_code({"quantization_config": None}) == 448.0


def test_attention_modules_are_found_by_the_names_of_their_nodes():
    graph = small_model("bloom", num_hidden_layers=1).graph()
    assert StoredScales.of(graph, (), 240.0).attentions == ("transformer.h.0.self_attention",)
    assert len(attention_nodes(graph)) == 1


def test_a_layer_is_a_product_with_a_parameter_and_its_bias():
    graph = small_model("qwen2", num_hidden_layers=1, tie_word_embeddings=True).graph()
    layers = [layer for layer in map(linear_layer, graph.graph) if layer is not None]
    biased = {layer.weight: layer.bias for layer in layers}
    assert (
        biased["model.layers.0.self_attn.q_proj.weight"] == "model.layers.0.self_attn.q_proj.bias"
    )
    assert biased["model.layers.0.self_attn.o_proj.weight"] is None
    assert layers[-1].weight == "model.embed_tokens.weight"
    assert layers[-1].output == "logits"
