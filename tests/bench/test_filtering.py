"""Every form of the filter is an artifact that runs, and its share of the time is told."""

from __future__ import annotations

import pytest

from bench.filtering import FORMS, convert, measured
from bench.synthetic import YuanShape, build


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    shape = YuanShape(hidden=64, layers=2, ffn=128, heads=2, kv_heads=2, vocab=1280)
    return build(shape, tmp_path_factory.mktemp("bench") / "yuan")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_runs(checkpoint, tmp_path, form):
    artifact = convert(checkpoint, tmp_path / "artifact", FORMS[form], "int8")
    decode, decode_share, prompt, prompt_share = measured(artifact, threads=2)
    assert decode > 0
    assert prompt > 0
    assert 0 < decode_share < 1
    assert 0 < prompt_share < 1
