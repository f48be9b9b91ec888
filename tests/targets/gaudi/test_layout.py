"""The layout of a checkpoint for Gaudi: what is in which file, and what is refused first."""

from __future__ import annotations

import json

import numpy as np
import pytest

from convert.errors import UsageError
from passes.calibration.observations import observe
from passes.quantize import Policy, Quantize
from targets.base import LayoutRequest, Source
from targets.gaudi import program_files
from targets.gaudi.layout import lay_out
from targets.gaudi.target import GaudiTarget
from tests.support.models import random_ids, small_model


@pytest.fixture(scope="module")
def small():
    return small_model("llama")


@pytest.fixture(scope="module")
def observations(small):
    return observe(small.graph(), random_ids(2, 9, 101).tolist())


def request_for(small, folder, encoding="bf16", observations=None, **options):
    graph, target = small.graph(), GaudiTarget()
    for step in target.passes(options):
        step(graph)
    stored = target.stored_as(encoding, options)
    allowed = target.encodings
    Quantize(Policy(stored, "bf16", "bf16", (), allowed, vectors="bf16"))(graph)
    source = Source("small", folder, small.raw_config, small.config)
    return LayoutRequest(source, graph, False, options, observations)


def text_of(made, name):
    return next(file.segments[0][1].decode() for file in made.files if file.path == name)


def test_programs_are_exported_last_and_can_be_left_out(small, tmp_path, monkeypatch):
    wanted = []

    def export(request):
        wanted.append(request)
        return {"decode.pt2": b"program"}

    monkeypatch.setattr(program_files, "static_programs", export)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = [file.path for file in lay_out(request_for(small, tmp_path, batch=3)).files]
    assert names[-1] == "decode.pt2"
    assert (wanted[0].batch, wanted[0].context) == (3, small.config.max_positions)
    lay_out(request_for(small, tmp_path, batch=3))
    assert len(wanted) == 1, "the same programs are exported once"
    plain = lay_out(request_for(small, tmp_path, batch=3, graphs=False))
    assert names[:-1] == [file.path for file in plain.files]
    with pytest.raises(UsageError, match="calibration"):
        lay_out(request_for(small, tmp_path, "fp8"))
    assert len(wanted) == 1, "what is refused is refused before"


def test_fp8_is_described_in_config_json(small, observations, tmp_path):
    made = lay_out(request_for(small, tmp_path, "fp8", observations, card="gaudi2", graphs=False))
    config = json.loads(text_of(made, "config.json"))
    assert config["quantization_config"]["quant_method"] == "compressed-tensors"
    assert config["quantization_config"]["fp8_dtype_flavor"] == "float8_e4m3fnuz"
    plain = lay_out(request_for(small, tmp_path, graphs=False))
    assert "quantization_config" not in json.loads(text_of(plain, "config.json"))


def test_scales_are_known_before_a_weight_is_read(small, observations, tmp_path):
    made = lay_out(
        request_for(small, tmp_path, "fp8", observations, card="gaudi3", kv_cache="fp8",
                    graphs=False)
    )  # fmt: skip
    (weights,) = (file for file in made.files if file.path == "model.safetensors")
    scalars = [np.frombuffer(data, np.float32)[0] for _, data in weights.segments if len(data) == 4]
    assert len(scalars) == 7 * small.config.layers + 2 * small.config.layers
    assert np.float32(observations.keys[0] / 448) in scalars


def test_what_a_user_should_know_is_said(small, tmp_path):
    made = lay_out(request_for(small, tmp_path, prompt_tokens=99_999, cards=7, graphs=False))
    assert any("unverified on Gaudi" in note for note in made.notes)
    assert any("positions" in note for note in made.notes)
    assert any("7 cards cannot share" in note for note in made.notes)
    assert not any("misread" in note for note in made.notes)


def test_rows_in_another_order_than_the_checkpoint_has_are_said(tmp_path):
    made = lay_out(request_for(small_model("yuan"), tmp_path, graphs=False))
    assert any("q_proj.weight and" in note and "misread" in note for note in made.notes)


def test_measurements_for_neural_compressor_are_added_on_request(small, observations, tmp_path):
    made = lay_out(request_for(small, tmp_path, "bf16", observations, inc=True, graphs=False))
    assert "inc/quant_config.json" in {file.path for file in made.files}
    assert any("QUANT_CONFIG" in note for note in made.notes)
    with pytest.raises(UsageError, match="need a calibration"):
        lay_out(request_for(small, tmp_path, "bf16", inc=True, graphs=False))
    with pytest.raises(UsageError, match="FP8 already"):
        lay_out(request_for(small, tmp_path, "fp8", observations, inc=True, graphs=False))


def test_an_fp8_cache_beside_bf16_weights_is_for_neural_compressor(small, observations, tmp_path):
    options = {"kv_cache": "fp8", "graphs": False}
    with pytest.raises(UsageError, match="nothing would read"):
        lay_out(request_for(small, tmp_path, "bf16", observations, **options))
    made = lay_out(request_for(small, tmp_path, "bf16", observations, inc=True, **options))
    (weights,) = (file for file in made.files if file.path == "model.safetensors")
    assert b"k_scale" not in weights.segments[0][1]
