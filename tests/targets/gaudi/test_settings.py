import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.architectures import architecture_of
from targets.base import Source
from targets.gaudi.options import GaudiOptions
from targets.gaudi.settings import (
    GAUDI_GENERATION_KEYS,
    GENERATION_KEYS,
    cache_bucket,
    deepspeed_checkpoints,
    generation_settings,
    model_config,
)
from tests.support.models import small_model
from tests.support.odd_models import LLAMA3


def source(tmp_path, model_type="llama", **changes):
    raw = {**small_model(model_type).raw_config, **changes}
    raw = {key: value for key, value in raw.items() if value is not None}
    return Source("small", tmp_path, raw, architecture_of(raw).parse(raw))


BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "n_layer": 2,
    "hidden_size": 96,
    "n_head": 6,
    "vocab_size": 131,
    "seq_length": 256,
}


def bloom_source(tmp_path):
    return Source("small", tmp_path, BLOOM, architecture_of(BLOOM).parse(BLOOM))


def test_the_config_is_in_the_older_dialect(tmp_path):
    config = model_config(source(tmp_path, rope_parameters=LLAMA3, dtype="float32"))
    assert config["torch_dtype"] == "bfloat16"
    assert config["rope_theta"] == LLAMA3["rope_theta"]
    expected = {key: value for key, value in LLAMA3.items() if key != "rope_theta"}
    assert config["rope_scaling"] == expected
    assert not {"dtype", "rope_parameters"} & set(config)


def test_a_config_in_the_older_dialect_stays_as_it_is(tmp_path):
    old = {"rope_parameters": None, "rope_theta": 500.0, "rope_scaling": {"rope_type": "linear"}}
    old["rope_scaling"]["factor"] = 2.0
    config = model_config(source(tmp_path, **old))
    assert config["rope_theta"] == 500.0
    assert config["rope_scaling"] == {"rope_type": "linear", "factor": 2.0}


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
def test_both_dialects_mean_the_same(tmp_path, model_type):
    asked = source(tmp_path, model_type, rope_parameters=LLAMA3)
    written = json.loads(json.dumps(model_config(asked)))
    assert architecture_of(written).parse(written) == asked.config


def test_no_path_of_this_machine_is_written(tmp_path):
    assert "_name_or_path" not in model_config(source(tmp_path, _name_or_path="/home/x"))


def test_only_keys_that_exist_are_written(tmp_path):
    original = {"temperature": 0.6, "eos_token_id": [1, 2], "kv_cache_fp8": True, "mystery": 1}
    settings = generation_settings(source(tmp_path), original)
    assert set(settings) <= GENERATION_KEYS | GAUDI_GENERATION_KEYS
    assert settings["temperature"] == 0.6
    assert settings["eos_token_id"] == [1, 2]
    assert settings["static_shapes"] is True


def test_the_listed_keys_exist_in_transformers():
    from transformers import GenerationConfig

    removed_in_5 = {"num_beam_groups", "diversity_penalty"}
    known = set(GenerationConfig().to_dict())
    assert GENERATION_KEYS - known <= removed_in_5
    assert not GAUDI_GENERATION_KEYS & known


def test_a_checkpoint_without_settings_keeps_its_special_tokens(tmp_path):
    settings = generation_settings(source(tmp_path), None)
    assert settings["eos_token_id"] == 2
    assert settings["reuse_cache"] is True


def accepted_by_generate(settings, family):
    """What optimum-habana's ``generate`` asserts, for the families that are converted."""
    bucket_size = settings.get("bucket_size", -1)
    allowed = {"llama", "mistral", "qwen2", "qwen3"}
    if settings.get("bucket_internal"):
        assert bucket_size >= 0
        assert settings["use_cache"]
    if settings.get("reuse_cache"):
        assert family in allowed
        assert settings.get("bucket_internal") or bucket_size <= 0
    if bucket_size > 0:
        assert settings["static_shapes"]
    return True


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3", "bloom"])
@pytest.mark.parametrize("card", ["gaudi1", "gaudi2"])
@pytest.mark.parametrize(("prompt", "new"), [(7, 100), (16, 50), (128, 128), (None, None)])
def test_generate_accepts_what_is_written(tmp_path, family, card, prompt, new):
    asked = bloom_source(tmp_path) if family == "bloom" else source(tmp_path, family)
    options = GaudiOptions(card=card, prompt_tokens=prompt, new_tokens=new)
    settings = generation_settings(asked, {"max_length": 4096, "top_p": 0.9}, options)
    assert set(settings) <= GENERATION_KEYS | GAUDI_GENERATION_KEYS
    assert accepted_by_generate(settings, family)
    assert settings["max_new_tokens"] == (new or asked.config.max_positions // 2)
    assert "max_length" not in settings


def test_bloom_is_static_without_a_cache_of_its_own_length(tmp_path):
    settings = generation_settings(bloom_source(tmp_path), None)
    assert settings["static_shapes"] is True
    added = {key for key in settings if key in GAUDI_GENERATION_KEYS}
    assert added == {"static_shapes"}


def test_the_first_card_has_no_fused_attention(tmp_path):
    first = generation_settings(source(tmp_path), None, GaudiOptions(card="gaudi1"))
    assert "use_flash_attention" not in first
    assert generation_settings(source(tmp_path), None)["use_flash_attention"] is True


@given(context=st.integers(129, 200_000))
def test_decoding_captures_few_lengths_of_the_cache(context):
    size = cache_bucket(context)
    assert size % 128 == 0
    assert -(-context // size) <= 8


def test_a_short_cache_is_read_whole(tmp_path):
    options = GaudiOptions(prompt_tokens=28, new_tokens=100)
    assert "bucket_size" not in generation_settings(source(tmp_path), None, options)


def test_the_deepspeed_list_names_the_shards_relative_to_the_folder():
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert deepspeed_checkpoints(names) == {
        "type": "ds_model",
        "checkpoints": list(names),
        "version": 1.0,
    }
