import json

import pytest

from convert.architectures import architecture_of
from targets.base import Source
from targets.gaudi.settings import (
    GAUDI_GENERATION_KEYS,
    GENERATION_KEYS,
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
    given = source(tmp_path, model_type, rope_parameters=LLAMA3)
    written = json.loads(json.dumps(model_config(given)))
    assert architecture_of(written).parse(written) == given.config


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
    assert "bucket_size" not in settings


def test_the_deepspeed_list_names_the_shards_relative_to_the_folder():
    names = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    assert deepspeed_checkpoints(names) == {
        "type": "ds_model",
        "checkpoints": list(names),
        "version": 1.0,
    }
