"""What the Python API returns; `test_api.py` has it of real runs."""

from __future__ import annotations

import pytest

from convert.errors import MissingFileError
from convert.results import Made, RunResult


def test_a_manifest_is_read_when_it_is_asked_for(tmp_path):
    made = Made(tmp_path)
    assert RunResult((made,)).folders == (tmp_path,)
    with pytest.raises(MissingFileError):
        made.manifest  # noqa: B018


def test_an_artifact_is_found_by_name(converted):
    result = RunResult(tuple(Made(folder) for folder in converted.artifacts.values()))
    made = result["gguf-q8_0"]
    assert made.manifest is made.manifest
    assert made.gate.target == "gguf"
    assert made.nbytes > 0
