import pytest

from convert.errors import UnsupportedEncodingError
from convert.graph import Role, parameters, roles
from passes.encodings import encoding
from targets.checkpoint_modules import linear_layers
from targets.gaudi.compressed_tensors import quantization_config
from targets.gaudi.options import GaudiOptions
from tests.support.models import small_model

GAUDI2, GAUDI3 = GaudiOptions(card="gaudi2"), GaudiOptions(card="gaudi3")


@pytest.fixture(scope="module")
def small():
    return small_model("llama", num_hidden_layers=1)


def encoded(small, linear, others="bf16", overrides=()):
    """The graph with an encoding for linear layers and one for the rest."""
    graph = small.graph()
    role_of = roles(graph)
    for name, parameter in parameters(graph).items():
        asked = linear if role_of[name] is Role.LINEAR else others
        asked = next((to for part, to in overrides if part in name), asked)
        parameter.encoding = encoding(asked)
    return graph


def test_a_checkpoint_without_fp8_has_no_quantization_config(small):
    assert quantization_config(encoded(small, "bf16"), GAUDI2) is None


@pytest.mark.parametrize(("name", "strategy"), [("fp8", "channel"), ("fp8_tensor", "tensor")])
def test_the_config_says_how_weights_and_inputs_are_scaled(small, name, strategy):
    found = quantization_config(encoded(small, f"{name}_240"), GAUDI2)
    (group,) = found["config_groups"].values()
    assert group["targets"] == ["Linear"]
    assert group["weights"]["strategy"] == strategy
    assert group["input_activations"]["strategy"] == "tensor"
    assert group["input_activations"]["dynamic"] is False
    assert found["ignore"] == ["lm_head"]
    assert found["kv_cache_scheme"] is None
    assert found["format"] == "float-quantized"


def test_only_gaudi2_gets_the_key_that_keeps_the_loader_from_halving(small):
    found = quantization_config(encoded(small, "fp8_240"), GAUDI2)
    assert found["fp8_dtype_flavor"] == "float8_e4m3fnuz"
    assert "fp8_dtype_flavor" not in quantization_config(encoded(small, "fp8"), GAUDI3)


def test_dynamic_activations_are_scaled_by_token(small):
    options = GaudiOptions(card="gaudi3", activations="dynamic")
    (group,) = quantization_config(encoded(small, "fp8"), options)["config_groups"].values()
    assert group["input_activations"]["strategy"] == "token"
    assert group["input_activations"]["dynamic"] is True


def test_compressed_tensors_reads_the_config(small):
    from compressed_tensors.quantization import QuantizationConfig

    options = GaudiOptions(card="gaudi2", kv_cache="fp8")
    given = quantization_config(encoded(small, "fp8_240"), options)
    read = QuantizationConfig.model_validate(given)
    assert read.quantization_status == "compressed"
    assert read.config_groups["group_0"].weights.strategy == "channel"
    assert read.kv_cache_scheme.strategy == "tensor"
    assert read.ignore == ["lm_head"]


def test_linear_layers_in_bf16_are_listed_to_be_ignored(small):
    graph = encoded(small, "fp8", overrides=[("down_proj", "bf16")])
    found = quantization_config(graph, GAUDI3)
    assert found["ignore"] == ["lm_head", "model.layers.0.mlp.down_proj"]


def test_two_kinds_of_scales_are_two_groups_of_named_layers(small):
    graph = encoded(small, "fp8", overrides=[("o_proj", "fp8_tensor")])
    groups = quantization_config(graph, GAUDI3)["config_groups"]
    by_strategy = {group["weights"]["strategy"]: group["targets"] for group in groups.values()}
    assert by_strategy["tensor"] == ["model.layers.0.self_attn.o_proj"]
    assert set(by_strategy["channel"]) == set(linear_layers(graph)) - set(by_strategy["tensor"])


@pytest.mark.parametrize("part", ["k_proj", "up_proj"])
@pytest.mark.parametrize("other", ["bf16", "fp8_tensor"])
def test_parts_that_vllm_fuses_must_be_alike(small, part, other):
    graph = encoded(small, "fp8", overrides=[(part, other)])
    with pytest.raises(UnsupportedEncodingError, match="vLLM fuses") as caught:
        quantization_config(graph, GAUDI3)
    assert part in str(caught.value)


@pytest.mark.parametrize("part", ["embed_tokens", "lm_head", "input_layernorm"])
def test_only_linear_layers_can_be_fp8(small, part):
    graph = encoded(small, "fp8", overrides=[(part, "fp8")])
    with pytest.raises(UnsupportedEncodingError, match=part):
        quantization_config(graph, GAUDI3)


@pytest.mark.parametrize(
    ("card", "name", "found"), [("gaudi2", "fp8", "448"), ("gaudi1", "fp8_240", "no|bf16")]
)
def test_a_card_refuses_codes_beyond_its_range(small, card, name, found):
    with pytest.raises(UnsupportedEncodingError, match=found):
        quantization_config(encoded(small, name), GaudiOptions(card=card))


def test_gaudi3_takes_the_smaller_range_too(small):
    assert quantization_config(encoded(small, "fp8_240"), GAUDI3) is not None


def test_in_bloom_the_fused_projection_is_a_linear_layer_like_any_other():
    bloom = small_model("bloom", num_hidden_layers=1)
    found = quantization_config(encoded(bloom, "fp8_240"), GAUDI2)
    assert found["ignore"] == ["lm_head"]
    names = set(linear_layers(encoded(bloom, "fp8_240")))
    assert names == {
        f"transformer.h.0.{name}"
        for name in (
            *("self_attention.query_key_value", "self_attention.dense"),
            *("mlp.dense_h_to_4h", "mlp.dense_4h_to_h"),
        )
    }
