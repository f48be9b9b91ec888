"""The original run layer by layer gives the logits that it gives as a whole."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from convert.errors import OutOfMemoryError, TensorMismatchError, UnsupportedArchitectureError
from golden import layered, memory, reference
from golden.record import main
from tests.support.imported import MECHANISMS, VOCAB, original, raw_config
from tests.support.models import random_ids, small_model
from tests.support.odd_models import EXPERT_MODELS, ODD_MODELS

PROMPTS = (13, 1, 40)

MODELS = {
    **{name: ODD_MODELS[name] for name in ODD_MODELS if "odd" in name or "both" in name},
    "bloom": ("bloom", {}),
    "mixtral": EXPERT_MODELS["mixtral"],
    **{name: EXPERT_MODELS[name] for name in EXPERT_MODELS if "both" in name},
    "mistral, window of 4": ODD_MODELS["mistral, window of 4"],
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, all biases, llama3": ODD_MODELS["llama, all biases, llama3"],
    "yuan": ("yuan", {}),
}


def assert_same_but_for_rounding(found, expected):
    """To float32: torch multiplies other shapes by other kernels, which round alike on some
    processors and not on all.
    """
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() < 1e-5 * other.std()


@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_the_whole_model(name, tmp_path, monkeypatch):
    family, changes = MODELS[name]
    model = small_model(family, **changes)
    folder = model.save(tmp_path)
    prompts = [random_ids(1, n, model.config.vocab, seed=n)[0].tolist() for n in PROMPTS]
    monkeypatch.setattr(layered, "HEAD_BYTES", 64 * 4 * 48)
    whole = list(reference.load(folder, 1).all_logits(prompts))
    found = list(layered.load(folder, 1).all_logits(prompts))
    assert_same_but_for_rounding(found, whole)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["sinks-and-interleaved", "grouped-and-latent"])
def test_imported_mixtures_too(mechanism, tmp_path):
    """Their experts are one tensor, and routers have buffers that a checkpoint holds."""
    family, changes = MECHANISMS[mechanism]
    original(raw_config(family, **changes)).save_pretrained(tmp_path)
    prompts = [random_ids(1, n, VOCAB, seed=n)[0].tolist() for n in PROMPTS]
    whole = list(reference.load(tmp_path, 1).all_logits(prompts))
    found = list(layered.load(tmp_path, 1).all_logits(prompts))
    assert_same_but_for_rounding(found, whole)


def test_a_recording_is_the_same_file(checkpoint, bare_checkpoint, tmp_path):
    for folder, more in ((checkpoint, []), (bare_checkpoint, ["--no-tokenizer"])):
        for name, flags in (("whole", []), ("layered", ["--layered"])):
            out = str(tmp_path / name)
            assert main([str(folder), "--out", out, "--label", "tiny", *more, *flags]) == 0
        assert (tmp_path / "whole").read_bytes() == (tmp_path / "layered").read_bytes()


def test_no_more_than_a_layer_is_in_memory(bare_checkpoint):
    loaded = layered.load(bare_checkpoint, 1)
    loaded.logits([1, 2, 3])
    held = {name for name, values in loaded.model.named_parameters() if not values.is_meta}
    assert held == {"model.norm.weight"}


def test_a_continuation_that_reads_too_much_is_left_out(bare_checkpoint, monkeypatch):
    loaded = layered.load(bare_checkpoint, 1)
    whole = reference.load(bare_checkpoint, 1)
    assert loaded.continuation([1, 5, 9], 4) == whole.continuation([1, 5, 9], 4)
    monkeypatch.setattr(layered, "READ_BYTES", 1 << 10)
    assert loaded.continuation([1, 5, 9], 4) is None


def test_what_does_not_fit_is_run_layer_by_layer(bare_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "fits", lambda folder: False)
    monkeypatch.setattr(reference, "load", None)
    arguments = [str(bare_checkpoint), "--no-tokenizer", "--out", str(tmp_path / "golden")]
    assert main(arguments) == 0


def test_a_layer_that_does_not_fit_is_refused(bare_checkpoint, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 20)
    with pytest.raises(OutOfMemoryError, match="too large"):
        layered.load(bare_checkpoint, 1)


def test_a_model_without_layers_is_refused():
    import torch

    with pytest.raises(UnsupportedArchitectureError, match="no list of layers"):
        layered._decoder_layers(torch.nn.Linear(1, 1))


def test_a_module_that_needs_more_than_its_config_is_refused():
    import torch

    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.ones(3, device="meta"), persistent=False)

    class Model(torch.nn.Module):
        config = None

        def __init__(self):
            super().__init__()
            self.part = Part()

    with pytest.raises(UnsupportedArchitectureError, match="part holds more than weights"):
        layered._give_buffers(Model())


@pytest.mark.parametrize("change", [{"intermediate_size": 50}, {"num_hidden_layers": 3}])
def test_a_weight_that_the_config_does_not_describe_is_refused(bare_checkpoint, tmp_path, change):
    folder = tmp_path / "other"
    shutil.copytree(bare_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(TensorMismatchError, match=r"mlp|layers\.2"):
        layered.load(folder, 1).logits([1, 2])


def test_stop_ids_are_those_of_the_generation_config(bare_checkpoint, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(bare_checkpoint, folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 9]}))
    assert layered.load(folder, 1).stop_ids == reference.load(folder, 1).stop_ids == (2, 9)
