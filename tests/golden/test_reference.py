"""The original is loaded by transformers or, where that has no class, by our own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.architectures.originals import make_original
from bench.architectures.releases import releases
from convert.errors import UnsupportedArchitectureError
from convert.importing.skeleton import config_object
from golden import reference
from golden.format import read
from golden.record import record
from golden.record_stored import record_stored
from targets.onnx.target import OnnxTarget
from tests.support.artifact import write_artifact
from tests.support.models import random_ids, small_model

AUTO_MAP = {
    "AutoConfig": "configuration_yuan.YuanConfig",
    "AutoModelForCausalLM": "yuan_hf_model.YuanForCausalLM",
}


@pytest.fixture(scope="module")
def yuan(tmp_path_factory):
    """A checkpoint whose config asks for code that is not there, and must not be."""
    model = small_model("yuan")
    folder = model.save(tmp_path_factory.mktemp("yuan"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": AUTO_MAP}))
    return model, folder


def test_yuan_runs_without_code_from_its_checkpoint(yuan):
    model, folder = yuan
    loaded = reference.load(folder, 1)
    ids = random_ids(1, 7, model.config.vocab)
    np.testing.assert_allclose(loaded.logits(ids[0].tolist()), model.logits(ids)[0], atol=1e-5)
    assert (loaded.vocab, loaded.stop_ids) == (101, (2,))


def test_any_other_code_is_refused(yuan, tmp_path):
    _, folder = yuan
    config = json.loads((folder / "config.json").read_text())
    foreign = {"architectures": ["BirdForCausalLM"], "model_type": "bird"}
    (tmp_path / "config.json").write_text(json.dumps({**config, **foreign}))
    with pytest.raises(UnsupportedArchitectureError, match="never executed"):
        reference.load(tmp_path, 1)


@pytest.mark.slow
def test_a_model_that_sees_is_loaded_by_the_class_that_it_names(tmp_path):
    small = releases()["mistralai/Devstral-Small-2-24B-Instruct-2512"].small()
    name = small["architectures"][0]
    original = make_original(config_object(small), name, tmp_path)
    loaded = reference.load(tmp_path, 1)
    assert type(loaded.model).__name__ == name
    difference = np.abs(loaded.logits(original.ids[0].tolist()) - original.logits[0]).max()
    assert difference < 1e-4 * original.sigma


def test_without_a_cache_the_same_is_drawn_from_a_model(bare_checkpoint, monkeypatch):
    llama = reference.load(bare_checkpoint, 1)
    cached = llama.sample(3, 12)
    monkeypatch.setattr(reference, "OWN_CLASSES", {"Any": type(llama.model).__module__})
    assert llama.sample(3, 12) == cached


def test_the_artifacts_own_weights_are_put_back_where_the_checkpoint_has_them(yuan, tmp_path):
    model, folder = yuan
    like = tmp_path / "golden"
    record(folder, like, tokenizer=False)
    artifact = write_artifact(OnnxTarget(), model, tmp_path / "artifact", "f32")
    record_stored(
        folder, tmp_path / "stored", artifact=artifact, target_name="onnx", like=like, threads=1
    )
    first, second = read(like), read(tmp_path / "stored")
    for prompt in range(len(first.prompts)):
        np.testing.assert_array_equal(first.logits(prompt), second.logits(prompt))
