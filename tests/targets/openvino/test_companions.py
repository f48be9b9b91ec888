"""The files beside the IR are carried over or completed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from convert.errors import BadHeaderError
from targets.base import Source
from targets.openvino.companions import configuration_files, generation_config, tokenizer_files
from tests.support.models import small_model


def source(folder):
    model = small_model("llama")
    return Source("small", folder, model.raw_config, model.config)


def test_special_ids_of_the_config_complete_the_generation_config(tmp_path):
    given = {"eos_token_id": [2, 7], "temperature": 0.5}
    (tmp_path / "generation_config.json").write_text(json.dumps(given))
    assert generation_config(source(tmp_path)) == {
        "bos_token_id": 1,
        "pad_token_id": 0,
        "eos_token_id": [2, 7],
        "temperature": 0.5,
    }


def test_without_one_it_is_made(tmp_path):
    assert generation_config(source(tmp_path))["eos_token_id"] == 2


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_one_is_refused(tmp_path, text):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(BadHeaderError, match=r"generation_config\.json"):
        generation_config(source(tmp_path))


def test_the_configuration_is_carried_over(tmp_path):
    files = {file.path: file for file in configuration_files(source(tmp_path))}
    ((_, data),) = files["config.json"].segments
    assert json.loads(data) == source(tmp_path).raw_config


def test_code_of_the_checkpoint_is_not_asked_for(tmp_path):
    given = source(tmp_path)
    remote = {**given.raw_config, "auto_map": {"AutoConfig": "configuration_yuan.YuanConfig"}}
    files = {file.path: file for file in configuration_files(replace(given, raw_config=remote))}
    ((_, data),) = files["config.json"].segments
    assert json.loads(data) == given.raw_config


def test_tokenizer_files_are_copied_byte_for_byte(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(b"\x00\xff")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (file,) = tokenizer_files(source(tmp_path))
    assert (file.path, file.segments) == ("tokenizer.json", ((0, b"\x00\xff"),))
