"""A checkpoint that was saved without the head is the one that was saved with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from convert.architectures import base_prefix
from convert.checkpoint import open_checkpoint, require_tensors
from convert.errors import TensorMismatchError
from convert.preparation import open_source
from convert.sources.downloads import ArrivingWeight, Downloads
from convert.sources.torch_files import StridedWeight
from convert.tensor_names import with_base_prefix
from convert.weights import ArrayWeight, FileWeight, FloatType, read_float32
from golden import reference
from tests.support.headless import save_without_head
from tests.support.models import random_ids, small_model


def weights(*names):
    return {name: ArrayWeight(name, np.zeros(2, np.float32)) for name in names}


def test_names_without_the_prefix_get_it_but_for_the_head():
    named = with_base_prefix(weights("h.0.a", "ln_f", "lm_head.weight"), "transformer.")
    expected = ["transformer.h.0.a", "transformer.ln_f", "lm_head.weight"]
    assert list(named) == expected
    assert [weight.name for weight in named.values()] == expected


@pytest.mark.parametrize(
    "weight",
    [
        FileWeight("a", (2, 3), FloatType.BF16, Path("f"), 8),
        ArrivingWeight("a", (2, 3), FloatType.F32, Path("f"), 8, Downloads({}, print)),
        StridedWeight("a", (2, 3), FloatType.F16, Path("f"), 8, (1, 2)),
    ],
)
def test_weights_of_every_kind_of_file_are_what_they_were_but_for_the_name(weight):
    (renamed,) = with_base_prefix({"a": weight}, "model.").values()
    assert type(renamed) is type(weight)
    assert vars(renamed) == {**vars(weight), "name": "model.a"}


@pytest.mark.parametrize("prefix", ["transformer.", ""])
def test_names_that_have_the_prefix_anywhere_stay(prefix):
    given = weights("transformer.h.0.a", "other", "lm_head.weight")
    assert with_base_prefix(given, prefix) == given


@pytest.mark.parametrize(
    ("config", "prefix"),
    [
        ({"architectures": ["BloomForCausalLM"]}, "transformer."),
        ({"architectures": ["LlamaForCausalLM"]}, "model."),
        ({"architectures": ["YuanForCausalLM"]}, "model."),
        ({"architectures": ["FalconForCausalLM"]}, ""),
        ({}, ""),
    ],
)
def test_the_prefix_is_the_architectures(config, prefix):
    assert base_prefix(config) == prefix


@pytest.mark.parametrize("suffix", [".safetensors", ".bin"])
@pytest.mark.parametrize("head", [False, True])
def test_a_bloom_without_prefix_is_the_same_model(tmp_path, head, suffix, monkeypatch):
    model = small_model("bloom", num_hidden_layers=1)
    folder = save_without_head(model, tmp_path / "model", head=head, suffix=suffix)
    with monkeypatch.context() as patch:
        patch.setattr(FileWeight, "read_rows", None)
        opened = open_checkpoint(str(folder))
    notes = require_tensors(opened, {name: w.shape for name, w in model.weights.items()})
    assert len(notes) == int(head)
    assert open_source(opened).config == model.config
    for name, weight in model.weights.items():
        assert opened.weights[name].name == name
        np.testing.assert_array_equal(read_float32(opened.weights[name]), read_float32(weight))


def test_transformers_reads_it_as_the_same_model_too(tmp_path):
    model = small_model("bloom", num_hidden_layers=1)
    folder = save_without_head(model, tmp_path / "model", head=True)
    original = reference.load(folder, threads=1)
    ids = random_ids(1, 7, model.config.vocab)
    np.testing.assert_array_equal(original.logits(ids[0].tolist()), model.logits(ids)[0])


def test_an_untied_llama_without_prefix(tmp_path):
    model = small_model("llama", num_hidden_layers=1)
    folder = save_without_head(model, tmp_path / "model", head=True)
    assert open_checkpoint(str(folder)).weights.keys() == model.weights.keys()


def test_a_bloom_whose_stored_head_differs_from_its_embedding_is_refused(tmp_path):
    model = small_model("bloom", num_hidden_layers=1)
    model.torch_model.lm_head.weight = torch.nn.Parameter(torch.zeros(101, 48))
    folder = save_without_head(model, tmp_path / "model", head=True)
    with pytest.raises(TensorMismatchError, match="another matrix"):
        open_source(open_checkpoint(str(folder)))
