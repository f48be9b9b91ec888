"""Measurement files for neural-compressor: their form, and that it quantizes by them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from passes.calibration.observations import observe
from targets.gaudi.inc import FOLDER, inc_files, inc_note, measured_modules, quant_config
from tests.support.models import random_ids, small_model

SCOPE = "model.layers.1.self_attn"


@pytest.fixture(scope="module")
def model():
    return small_model("llama", hidden_size=64, num_attention_heads=4, tie_word_embeddings=True)


@pytest.fixture(scope="module")
def ids(model):
    return [random_ids(1, 24, model.config.vocab, seed=seed)[0] for seed in range(4)]


@pytest.fixture(scope="module")
def seen(model, ids):
    return observe(model.graph(), ids)


def contents(files) -> dict[str, bytes]:
    return {file.path: file.segments[0][1] for file in files}


def write(files, folder: Path) -> Path:
    for name, data in contents(files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_every_linear_layer_but_the_head_is_covered(model, seen):
    nodes = measured_modules(seen, model.config)
    linear = [name for name in nodes if name.endswith("_proj")]
    assert linear == [f"{name.removesuffix('.weight')}" for name in seen.inputs if "_proj" in name]
    assert len(linear) == 14
    assert not [name for name in nodes if "embed" in name or "head" in name]
    node = nodes[f"{SCOPE}.q_proj"]
    assert node["inputs"][0].shape == node["params"]["weight"].shape == (1, 1)
    for found, want in (
        (node["inputs"][0], seen.inputs[f"{SCOPE}.q_proj.weight"]),
        (node["params"]["weight"], seen.weights[f"{SCOPE}.q_proj.weight"]),
    ):
        assert found.dtype == np.float32
        assert found.item() == pytest.approx(want, rel=2**-8)
        assert not found.view(np.uint32) & 0xFFFF  # a bfloat16, as it is measured


def test_the_attention_of_optimum_habana_is_covered(model, seen):
    nodes = measured_modules(seen, model.config)
    of_layer = {
        name.removeprefix(f"{SCOPE}."): node for name, node in nodes.items() if SCOPE in name
    }
    counts = {name: len(node["inputs"]) for name, node in of_layer.items() if "_proj" not in name}
    fused = "fused_scaled_dot_product_attention"
    assert counts == {"matmul_qk": 2, "matmul_av": 2, "k_cache": 1, "v_cache": 1, fused: 3}
    np.testing.assert_array_equal(of_layer["k_cache"]["inputs"], of_layer[fused]["inputs"][1:2])
    np.testing.assert_array_equal(
        of_layer["v_cache"]["inputs"], of_layer["matmul_av"]["inputs"][1:]
    )
    assert len(of_layer[fused]["outputs"]) == 2
    assert of_layer["matmul_av"]["inputs"][0] == 1


def test_of_bloom_the_linear_layers_alone_are_covered():
    bloom = small_model("bloom", num_attention_heads=4)
    found = measured_modules(observe(bloom.graph(), [[1, 2, 3]]), bloom.config)
    kinds = {name.split(".", 3)[-1] for name in found}
    assert kinds == {
        "self_attention.query_key_value",
        "self_attention.dense",
        "mlp.dense_h_to_4h",
        "mlp.dense_4h_to_h",
    }
    assert "the linear layers of" in inc_note(bloom.config, fp8_cache=True)


def test_the_note_says_what_is_covered(model):
    assert "attention and KV cache" in inc_note(model.config, fp8_cache=True)
    assert "KV cache" not in inc_note(model.config, fp8_cache=False)
    assert "Unverified on Gaudi" in inc_note(model.config, fp8_cache=False)


def test_the_files_are_the_same_every_time_and_say_the_same(model, seen):
    files = contents(inc_files(seen, model.config, fp8_cache=True))
    assert files == contents(inc_files(seen, model.config, fp8_cache=True))
    base = f"{FOLDER}/measure_hooks_maxabs"
    listed = json.loads(files[f"{base}.json"])
    packed = np.load(io.BytesIO(files[f"{base}.npz"]), allow_pickle=True)["arr_0"].item()
    assert listed.keys() == packed.keys() == {"GlobalRank", "LocalRank", "Mode", "Nodes"}
    assert listed["Mode"] == packed["Mode"] == "DynamicRange"
    assert list(listed["Nodes"]) == list(packed["Nodes"])
    assert list(packed["Nodes"]) == json.loads(files[f"{base}_mod_list.json"])
    for name, node in packed["Nodes"].items():
        for place, array in enumerate(node["inputs"]):
            assert listed["Nodes"][name]["inputs"][place] == array.tolist()


@pytest.mark.parametrize("fp8_cache", [True, False])
def test_the_cache_is_quantized_only_if_asked(fp8_cache):
    blocked = quant_config(fp8_cache=fp8_cache)["blocklist"]["names"]
    assert ("k_cache" in blocked) == ("v_cache" in blocked) == (not fp8_cache)
    assert "lm_head" in blocked


class Compressor:
    """neural-compressor's FP8 path on the CPU: linear layers, quantized and dequantized."""

    def __init__(self, model, folder: Path, method: str = "maxabs_pow2") -> None:
        self._model, self._folder, self._method = model, folder, method

    def _config(self, mode: str):
        from neural_compressor.torch.quantization import FP8Config

        settings = quant_config(fp8_cache=True)
        settings |= {"mode": mode, "scale_method": self._method}
        settings["dump_stats_path"] = str(self._folder / settings["dump_stats_path"])
        # What the CPU differs in: no FP8 kernels, and float32 all around.
        return FP8Config.from_dict({**settings, "use_qdq": "True", "hp_dtype": "fp32"})

    def measure(self, ids) -> None:
        """Let it measure by itself."""
        from neural_compressor.torch.quantization import finalize_calibration, prepare

        prepared = prepare(_fresh(self._model), self._config("MEASURE"))
        _logits(prepared, ids)
        finalize_calibration(prepared)

    def quantized_logits(self, ids):
        """Logits of the model that it quantizes by the measurements in the folder."""
        from neural_compressor.torch.quantization import convert

        return _logits(convert(_fresh(self._model), self._config("QUANTIZE")), ids)


def _fresh(model):
    import copy

    return copy.deepcopy(model.torch_model)


def _logits(torch_model, ids):
    import torch

    with torch.no_grad():
        return np.stack(
            [torch_model(torch.from_numpy(each[None])).logits[0].float().numpy() for each in ids]
        )


@pytest.fixture(scope="module")
def own(model, ids, tmp_path_factory):
    """A folder with neural-compressor's own measurements."""
    pytest.importorskip("neural_compressor", reason="not to be had for Python 3.10")
    folder = tmp_path_factory.mktemp("own")
    (folder / FOLDER).mkdir()
    Compressor(model, folder).measure(ids)
    return folder


@pytest.fixture(scope="module")
def ours(model, seen, tmp_path_factory):
    """A folder with our files."""
    return write(inc_files(seen, model.config, fp8_cache=True), tmp_path_factory.mktemp("ours"))


def nodes_in(folder: Path):
    path = folder / FOLDER / "measure_hooks_maxabs.npz"
    return np.load(path, allow_pickle=True)["arr_0"].item()


def test_what_neural_compressor_measures_is_what_was_observed(own, ours):
    measured, written = nodes_in(own), nodes_in(ours)
    assert {key: measured[key] for key in ("GlobalRank", "LocalRank", "Mode")} == {
        key: written[key] for key in ("GlobalRank", "LocalRank", "Mode")
    }
    assert measured["Nodes"].keys() <= written["Nodes"].keys()
    assert len(measured["Nodes"]) == 14
    for name, node in measured["Nodes"].items():
        found = written["Nodes"][name]
        assert found.keys() == node.keys()
        np.testing.assert_allclose(found["inputs"], node["inputs"], rtol=2**-8)
        weight = found["params"]["weight"]
        assert weight.dtype == node["params"]["weight"].dtype
        np.testing.assert_allclose(weight, node["params"]["weight"], rtol=2**-8)


def scales_in(folder: Path, method: str) -> dict:
    """The scales that neural-compressor made of the measurements and kept beside them."""
    path = folder / FOLDER / f"measure_hooks_maxabs_{method.upper()}.json"
    return json.loads(path.read_text())["Nodes"]


def test_neural_compressor_quantizes_by_our_files_as_by_its_own(model, ids, own, ours):
    by_ours = Compressor(model, ours).quantized_logits(ids)
    np.testing.assert_array_equal(by_ours, Compressor(model, own).quantized_logits(ids))
    scales = scales_in(ours, "maxabs_pow2")
    assert scales == scales_in(own, "maxabs_pow2")
    assert len({node["inputs"][0] for node in scales.values()}) > 1
    plain = _logits(model.torch_model, ids)
    assert 0.01 < _rms(by_ours - plain) / plain.std() < 0.5  # quantized, and not to noise


def test_scales_that_are_not_rounded_agree_as_far_as_bfloat16_goes(model, ids, own, ours):
    method = "maxabs_arbitrary"
    by_ours = Compressor(model, ours, method).quantized_logits(ids)
    Compressor(model, own, method).quantized_logits(ids)
    for name, node in scales_in(own, method).items():
        assert scales_in(ours, method)[name]["inputs"] == pytest.approx(node["inputs"], rel=2**-7)
    plain = _logits(model.torch_model, ids)
    assert 0.01 < _rms(by_ours - plain) / plain.std() < 0.5


def _rms(values) -> float:
    return float(np.sqrt(np.mean(values**2)))
