import json

import pytest

from convert.errors import BrokenInputError, UnsupportedTokenizerError
from targets.companions import generation_config, json_file, portable_config, tokenizer_files
from tests.support.tokenizer import save_tokenizer


def test_json_does_not_depend_on_the_order_of_keys():
    assert json_file("a.json", {"a": 1, "b": "é"}) == json_file("a.json", {"b": "é", "a": 1})


def test_paths_of_a_machine_and_remote_code_are_left_out():
    raw = {"_name_or_path": "/home/x", "auto_map": {"AutoConfig": "c.C"}, "hidden_size": 8}
    assert portable_config(raw) == {"hidden_size": 8}


def test_tokenizer_files_are_carried_over_as_they_are(tmp_path):
    save_tokenizer(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    files = {file.path: file.segments[0][1] for file in tokenizer_files(tmp_path)}
    assert set(files) == {"tokenizer.json", "tokenizer_config.json"}
    assert all(data == (tmp_path / name).read_bytes() for name, data in files.items())


def test_a_missing_tokenizer_is_refused_with_advice(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(UnsupportedTokenizerError, match="--no-tokenizer"):
        tokenizer_files(tmp_path)


def test_a_tokenizer_with_code_is_refused(tmp_path):
    save_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"auto_map": {"AutoTokenizer": []}}))
    with pytest.raises(UnsupportedTokenizerError, match="never executed"):
        tokenizer_files(tmp_path)


def test_a_checkpoint_may_have_no_generation_config(tmp_path):
    assert generation_config(tmp_path) is None


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_generation_config_that_is_no_object_is_refused(tmp_path, text):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(BrokenInputError, match=r"generation_config\.json"):
        generation_config(tmp_path)
