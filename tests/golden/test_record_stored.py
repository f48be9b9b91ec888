"""The original with an artifact's own weights: equal for a faithful artifact, telling otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import golden.record_stored as module
from convert.errors import TensorMismatchError
from convert.weights import read_float32
from golden.format import read
from golden.record import record
from golden.record_stored import main, record_stored
from tests.golden.fakes import FakeTarget, stored_of
from tests.support.headless import save_without_head
from tests.support.models import small_model


@pytest.fixture(scope="session")
def recording(bare_checkpoint, tmp_path_factory):
    path = tmp_path_factory.mktemp("golden") / "bare.golden"
    record(bare_checkpoint, path, tokenizer=False)
    return path


@pytest.fixture
def stores(bare_checkpoint, tmp_path, monkeypatch, recording):
    """A function that records with the weights it is given."""

    def run(stored):
        monkeypatch.setattr(module, "target", lambda name: FakeTarget(None, stored))
        out = tmp_path / "stored"
        record_stored(
            bare_checkpoint,
            out,
            artifact=bare_checkpoint,
            target_name="fake",
            like=recording,
            threads=1,
        )
        return read(out)

    return run


def test_the_same_weights_give_the_same_logits(stores, bare_checkpoint, recording):
    found, expected = stores(stored_of(bare_checkpoint)), read(recording)
    assert found.prompts == expected.prompts
    assert found.header.tokenized == ()
    for index in range(len(expected.prompts)):
        np.testing.assert_array_equal(found.logits(index), expected.logits(index))


def test_weights_of_a_checkpoint_that_was_saved_without_its_head(tmp_path, monkeypatch):
    """An artifact has the names of the graph; transformers has them, too, once it has loaded."""
    model = small_model("bloom", num_hidden_layers=1)
    folder = save_without_head(model, tmp_path / "model")
    record(folder, tmp_path / "recording", tokenizer=False)
    stored = [(name, read_float32(weight)) for name, weight in model.weights.items()]
    monkeypatch.setattr(module, "target", lambda name: FakeTarget(None, stored))
    options = {"artifact": folder, "target_name": "fake", "threads": 1}
    record_stored(folder, tmp_path / "out", like=tmp_path / "recording", **options)
    found, expected = read(tmp_path / "out"), read(tmp_path / "recording")
    np.testing.assert_array_equal(found.logits(0), expected.logits(0))


def test_other_weights_give_other_logits(stores, bare_checkpoint, recording):
    name = "model.layers.0.mlp.up_proj.weight"
    weights = [(n, w * 1.5 if n == name else w) for n, w in stored_of(bare_checkpoint)]
    assert np.abs(stores(weights).logits(0) - read(recording).logits(0)).max() > 0.01


def test_parameters_that_disagree(stores, bare_checkpoint):
    weights = stored_of(bare_checkpoint)
    with pytest.raises(TensorMismatchError, match="lacks 1 parameters"):
        stores(weights[1:])
    with pytest.raises(TensorMismatchError, match="'surplus'"):
        stores([*weights, ("surplus", np.zeros(3, np.float32))])
    with pytest.raises(TensorMismatchError, match="shape"):
        stores([(weights[0][0], weights[0][1][:-1]), *weights[1:]])


def test_program(bare_checkpoint, recording, tmp_path, monkeypatch):
    fake = FakeTarget(None, stored_of(bare_checkpoint))
    monkeypatch.setattr(module, "target", lambda name: fake)
    arguments = [str(bare_checkpoint), "--artifact", str(bare_checkpoint), "--target", "fake"]
    arguments += ["--like", str(recording), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main(arguments) == 0
    assert read(tmp_path / "out").prompts == read(recording).prompts
