"""The files of an artifact, and what cannot be one."""

from __future__ import annotations

import json

import pytest

from convert.errors import UnsupportedEncodingError, UnsupportedError, UsageError
from convert.recipe import Override
from passes.quantize import coverage
from targets.ipex.layout import ONE_GROUP, TABLES, UNPACKED_BY_US, UNVERIFIED, WRONG_IN_IPEX
from targets.ipex.target import IpexTarget
from tests.targets.ipex.artifacts import model, prepared


@pytest.fixture(scope="module")
def llama():
    return model("llama")


def config_of(layout):
    (file,) = (file for file in layout.files if file.path == "config.json")
    return json.loads(file.segments[0][1])


@pytest.mark.parametrize(("encoding", "dtype"), [("bf16", "bfloat16"), ("f32", "float32")])
def test_floats_need_no_quantization_config(tmp_path, llama, encoding, dtype):
    made = prepared(llama, tmp_path, encoding)
    config = config_of(made.layout)
    assert config["torch_dtype"] == dtype
    assert config["rope_theta"] == 10000.0
    assert not {"quantization_config", "dtype", "rope_parameters"} & set(config)
    assert {each.encoding for each in coverage(made.model)} == {encoding}
    assert made.layout.notes == (UNVERIFIED,)


def test_one_group_size_that_fits_all_layers(tmp_path, llama):
    made = prepared(llama, tmp_path, "int4_sym_g64")
    assert config_of(made.layout)["quantization_config"]["group_size"] == 32
    stored = {each.name: each for each in coverage(made.model) if each.role == "linear"}
    assert {each.encoding for each in stored.values()} == {"int4_sym_g32"}
    assert "does not fit rows of 96" in stored["model.layers.0.mlp.down_proj.weight"].fallback
    assert "one group size" in stored["model.layers.0.mlp.up_proj.weight"].fallback
    assert made.layout.notes == (UNVERIFIED, TABLES.format(dtype="bfloat16"), UNPACKED_BY_US)
    with pytest.raises(UnsupportedEncodingError, match="14 tensors do not fit"):
        prepared(llama, tmp_path, "int4_sym_g64", strict=True)


def test_rows_of_one_group_are_noted(tmp_path):
    made = prepared(model("llama", intermediate_size=128), tmp_path, "int4_sym_g64")
    assert made.layout.notes[-1] == ONE_GROUP.format(layer="model.layers.0.self_attn.q_proj.weight")


def test_what_ipex_gets_wrong_is_noted(tmp_path):
    bloom = model("bloom")
    assert prepared(bloom, tmp_path, "int4_sym_g32").layout.notes[-1] == WRONG_IN_IPEX["bloom"]
    assert prepared(bloom, tmp_path, "bf16").layout.notes == (UNVERIFIED,)


def test_layers_that_no_group_fits_stay_floats_and_are_named(tmp_path):
    odd = model("llama", hidden_size=64, intermediate_size=88)
    made = prepared(odd, tmp_path, "int4_sym_g32")
    quantization = config_of(made.layout)["quantization_config"]
    assert quantization["group_size"] == 32
    assert list(quantization["dynamic"]) == [
        rf"-:^model\.layers\.{layer}\.mlp\.down_proj$" for layer in range(2)
    ]


def test_embeddings_and_head_stay_floats(tmp_path, llama):
    made = prepared(llama, tmp_path, "w8a8", smooth_quant="none")
    by_role = {each.role: each.encoding for each in coverage(made.model)}
    assert by_role == {"embedding": "bf16", "linear": "w8a8", "other": "bf16", "head": "bf16"}
    quantization = config_of(made.layout)["quantization_config"]
    assert quantization["ignore"] == ["lm_head"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"*q_proj*": "bf16"}, "vLLM fuses q_proj, k_proj, v_proj"),
        ({"*down_proj*": "w8a8"}, "one format and one group size"),
        ({"*embed_tokens*": "int4_sym_g32"}, "codes for the weights of linear layers only"),
    ],
)
def test_what_readers_cannot_have_is_refused(tmp_path, llama, overrides, message):
    given = tuple(Override(pattern=each, encoding=name) for each, name in overrides.items())
    with pytest.raises(UnsupportedEncodingError, match=message):
        prepared(llama, tmp_path, "int4_sym_g32", overrides=given, smooth_quant="none")


def test_yuan_is_refused_with_the_reason(tmp_path):
    with pytest.raises(UnsupportedError, match="code from the checkpoint"):
        prepared(model("yuan"), tmp_path, "bf16")


def test_there_are_no_options(tmp_path, llama):
    with pytest.raises(UsageError, match="no option 'cards'"):
        prepared(llama, tmp_path, "bf16", options={"cards": 2})


def test_shards_and_their_index(tmp_path, llama, monkeypatch):
    monkeypatch.setattr(IpexTarget, "max_shard_bytes", 20_000)
    files = {file.path: file for file in prepared(llama, tmp_path, "int4_sym_g32").layout.files}
    index = json.loads(files["model.safetensors.index.json"].segments[0][1])
    module = "model.layers.1.self_attn.q_proj"
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        assert index["weight_map"][f"{module}.{part}"] in files
    assert f"{module}.weight" not in index["weight_map"]
