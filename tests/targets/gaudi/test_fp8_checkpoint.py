"""FP8 checkpoints as transformers with compressed-tensors loads and runs them on the CPU."""

import copy
import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from convert.stream import write_layouts
from targets.base import Layout
from targets.companions import json_file
from targets.gaudi.checkpoint_tensors import checkpoint_tensors
from targets.gaudi.compressed_tensors import quantization_config
from targets.gaudi.options import GaudiOptions
from targets.gaudi.run import GaudiRunner
from targets.gaudi.stored import stored_weights
from targets.safetensors_layout import lay_out_safetensors
from tests.support.models import random_ids, small_model
from tests.support.ort import relative_error
from tests.targets.gaudi.test_compressed_tensors import encoded

IDS = random_ids(2, 9, 101)
SHARD_BYTES = 40_000


@dataclass
class Seen:
    """Magnitudes as a calibration gives them."""

    inputs: dict
    weights: dict = field(default_factory=dict)
    keys: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def models():
    return {
        "llama": small_model("llama", num_hidden_layers=1, tie_word_embeddings=True),
        "bloom": small_model("bloom", num_hidden_layers=1),
    }


def linear_modules(model):
    import torch

    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and name != "lm_head"
    }


def observe(small):
    """The largest input of each linear layer on `IDS`, by hooks in torch."""
    import torch

    model, inputs, hooks = small.torch_model, {}, []
    for name, module in linear_modules(model).items():

        def note(_, given, name=name):
            inputs[f"{name}.weight"] = given[0].abs().max().item()

        hooks.append(module.register_forward_pre_hook(note))
    with torch.no_grad():
        model(torch.from_numpy(IDS), use_cache=False)
    for hook in hooks:
        hook.remove()
    weights = {
        f"{name}.weight": module.weight.abs().max().item()
        for name, module in linear_modules(model).items()
    }
    return Seen(inputs, weights, {0: 9.0}, {0: 3.0})


def write(small, graph, folder, options, seen=None):
    """Write the checkpoint of ``graph``, as the target does, in several shards."""
    planned = checkpoint_tensors(graph, options, seen)
    weights = lay_out_safetensors(planned.tensors, max_shard_bytes=SHARD_BYTES)
    config = {**small.raw_config, "torch_dtype": "float32"}
    config["quantization_config"] = quantization_config(graph, options)
    files = (*weights.files, json_file("config.json", config))
    folder.mkdir()
    write_layouts([(folder, Layout(files, planned.jobs(weights.placements)))])
    return folder


def load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        str(folder), dtype="float32", attn_implementation="eager"
    ).eval()


def emulated(small, folder, options, seen):
    """The original with the stored weights, and inputs rounded to E4M3."""
    import torch

    model = copy.deepcopy(small.torch_model)
    stored = {name: torch.from_numpy(values) for name, values in stored_weights(folder)}
    model.load_state_dict(stored, strict=False)

    def rounded(scale, x):
        if options.activations == "dynamic":
            scale = x.abs().amax(-1, keepdim=True) / 448
        return (x / scale).clamp(-448, 448).to(torch.float8_e4m3fn).float() * scale

    for name, module in linear_modules(model).items():
        scale = np.float32(seen.inputs[f"{name}.weight"]) / np.float32(options.hardware.fp8_largest)

        def replace(_, given, scale=float(scale)):
            return (rounded(scale, given[0]), *given[1:])

        module.register_forward_pre_hook(replace)
    return model


def logits(model):
    import torch

    with torch.no_grad():
        return model(torch.from_numpy(IDS), use_cache=False).logits.numpy()


@pytest.mark.parametrize(
    ("family", "encoding", "card", "activations"),
    [
        ("llama", "fp8_240", "gaudi2", "static"),
        ("llama", "fp8_tensor", "gaudi3", "dynamic"),
        ("bloom", "fp8_240", "gaudi2", "static"),
        ("bloom", "fp8_tensor_240", "gaudi2", "static"),
    ],
)
def test_transformers_computes_what_the_stored_codes_and_scales_say(
    models, tmp_path, family, encoding, card, activations
):
    small, options = models[family], GaudiOptions(card=card, activations=activations)
    seen = observe(small)
    folder = write(small, encoded(small, encoding), tmp_path / "artifact", options, seen)
    expected = logits(emulated(small, folder, options, seen))
    np.testing.assert_allclose(logits(load(folder)), expected, rtol=0, atol=2e-5 * expected.std())
    # FP8 must have made a difference, or nothing was compared.
    assert np.abs(expected - logits(small.torch_model)).max() > 1e-3 * expected.std()


@pytest.mark.parametrize("family", ["llama", "bloom"])
@pytest.mark.parametrize("activations", ["static", "dynamic"])
def test_our_runner_computes_what_transformers_does(models, tmp_path, family, activations):
    import torch

    small, options = models[family], GaudiOptions(card="gaudi3", activations=activations)
    graph = encoded(small, "fp8")
    folder = write(small, graph, tmp_path / "artifact", options, observe(small))
    with GaudiRunner(folder, threads=1, dtype=torch.float32) as runner:
        found = runner.logits(IDS[0].tolist(), prefill=6)
    expected = logits(load(folder))[0]
    assert relative_error(found, expected) < 1e-5


def test_an_fp8_cache_has_its_scales_in_transformers(models, tmp_path):
    import torch

    small, options = models["llama"], GaudiOptions(card="gaudi2", kv_cache="fp8")
    graph = encoded(small, "fp8_240")
    folder = write(small, graph, tmp_path / "artifact", options, observe(small))
    model = load(folder)
    attention = model.model.layers[0].self_attn
    assert attention.k_scale.tolist() == [pytest.approx(9 / 240)]
    assert attention.v_scale.tolist() == [pytest.approx(3 / 240)]
    ids = model.generate(torch.from_numpy(IDS), max_new_tokens=4, do_sample=False)
    assert ids.shape[1] <= IDS.shape[1] + 4


def test_no_byte_is_beyond_the_range_of_gaudi2(models, tmp_path):
    import torch
    from safetensors import safe_open

    small, options = models["llama"], GaudiOptions(card="gaudi2")
    graph = encoded(small, "fp8_240")
    folder = write(small, graph, tmp_path / "artifact", options, observe(small))
    scanned = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - not a mapping
                tensor = shard.get_tensor(name)
                if tensor.dtype == torch.float8_e4m3fn:
                    assert tensor.float().abs().max() == 240
                    assert not ((tensor.view(torch.uint8) & 0x78) == 0x78).any()
                    scanned += 1
    assert scanned == 7
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["fp8_dtype_flavor"] == "float8_e4m3fnuz"
