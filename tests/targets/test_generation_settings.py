"""Where generation ends, by the files that transformers reads."""

from __future__ import annotations

import json

import pytest

from convert.errors import RunnerCrashedError
from targets.generation_settings import longest_sequence, stop_ids


def write(folder, generation=None, config=None):
    for name, content in (("generation_config.json", generation), ("config.json", config)):
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [2, 0]}, {"eos_token_id": 7}, {0, 2}),
        ({"eos_token_id": 0}, {"eos_token_id": 7}, {0}),
        ({"pad_token_id": 1}, {"eos_token_id": 7}, {7}),
        (None, {"eos_token_id": 7}, {7}),
        ({}, {"eos_token_id": None}, set()),
        (None, None, set()),
    ],
)
def test_the_generation_config_goes_before_the_config(tmp_path, generation, config, expected):
    assert stop_ids(write(tmp_path, generation, config)) == expected


def test_the_longest_sequence_is_that_of_the_positions(tmp_path):
    assert longest_sequence(write(tmp_path, config={"max_position_embeddings": 512})) == 512
    assert longest_sequence(write(tmp_path, config={"seq_length": 512})) is None


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(RunnerCrashedError, match=r"generation_config\.json"):
        stop_ids(tmp_path)
