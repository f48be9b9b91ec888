"""The main job on a trained BLOOM, and what the gate says of a converter that gets it wrong."""

from __future__ import annotations

import numpy as np
import pytest

from convert.architectures import alibi, blocks
from convert.errors import GateError
from convert.manifest import read_manifest
from tests.support.runs import ROOT, convert_tiny

TINY_BLOOM = ROOT / "golden" / "models" / "tiny-bloom"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """One folder for all, so that the original is recorded once."""
    return tmp_path_factory.mktemp("out")


def test_every_target_keeps_tiny_bloom(out):
    asked = ("gguf:q8_0", "openvino:int8", "onnx:f32", "gaudi:bf16")
    folders = convert_tiny(out, *asked, model=TINY_BLOOM)
    assert len(folders) == len(asked)
    for folder in folders:
        result = read_manifest(folder).gate.result
        assert result["overall"]["mean_kld"] < 0.0005, folder.name


def geometric(heads):
    """The rule for powers of two, whatever the number of heads."""
    return np.float32(2.0) ** (np.float32(-8 / heads) * np.arange(1, heads + 1, dtype=np.float32))


def test_slopes_of_another_rule_fail(out, monkeypatch):
    monkeypatch.setattr(alibi, "slopes", geometric)
    with pytest.raises(GateError, match="does not match"):
        convert_tiny(out, "onnx:int8", model=TINY_BLOOM)


def test_values_in_the_place_of_keys_fail(out, monkeypatch):
    attend = blocks.attend
    monkeypatch.setattr(
        blocks, "attend", lambda b, query, key, value, *rest: attend(b, query, value, key, *rest)
    )
    with pytest.raises(GateError, match="does not match"):
        convert_tiny(out, "onnx:int8", model=TINY_BLOOM)
