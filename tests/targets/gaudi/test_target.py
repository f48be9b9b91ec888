import json

import numpy as np
import pytest

from convert.errors import UnsupportedEncodingError, UnsupportedTokenizerError, UsageError
from targets.base import LayoutRequest, Source
from targets.gaudi.target import GaudiTarget
from tests.support.artifact import lay_out, write_artifact
from tests.support.models import random_ids, small_model
from tests.support.tokenizer import save_tokenizer

PLAIN = {"graphs": False}
"""Without programs, which take seconds to export."""


class SmallShards(GaudiTarget):
    max_shard_bytes = 20_000


@pytest.fixture(scope="module")
def small():
    return small_model("llama")


@pytest.fixture(scope="module")
def tied():
    return small_model("qwen2", tie_word_embeddings=True)


@pytest.fixture(scope="module")
def artifact(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaudi") / "artifact"
    checkpoint = save_tokenizer(folder.parent / "checkpoint")
    return write_artifact(
        GaudiTarget(), small, folder, "bf16", checkpoint=checkpoint, tokenizer=True
    )


def test_files_are_the_ones_that_the_gaudi_stack_reads(artifact):
    names = {path.name for path in artifact.iterdir()}
    assert {name for name in names if not name.startswith("prefill-")} == {
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "checkpoints.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "decode.pt2",
        "DEPLOY.md",
        "vllm-buckets.txt",
        "vllm.env",
    }
    assert 1 <= sum(name.startswith("prefill-") for name in names) <= 4
    listed = json.loads((artifact / "checkpoints.json").read_text())
    assert listed["checkpoints"] == ["model.safetensors"]


def test_weights_are_the_file_that_transformers_saves(small, artifact, tmp_path):
    import copy

    import torch

    copy.deepcopy(small.torch_model).to(torch.bfloat16).save_pretrained(tmp_path)
    expected = (tmp_path / "model.safetensors").read_bytes()
    assert (artifact / "model.safetensors").read_bytes() == expected


@pytest.mark.parametrize("target", [GaudiTarget(), SmallShards()], ids=["one file", "shards"])
def test_transformers_loads_it_and_computes_the_same(tied, target, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    artifact = write_artifact(target, tied, tmp_path / "artifact", "bf16", options=PLAIN)
    tied.save(tmp_path / "original")
    ids = torch.from_numpy(random_ids(2, 9, 101))

    def logits(folder, dtype):
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype).eval()
        assert model.dtype == torch.bfloat16
        with torch.no_grad():
            return model(input_ids=ids).logits

    assert torch.equal(logits(artifact, "auto"), logits(tmp_path / "original", torch.bfloat16))


def test_shards_hold_every_tensor_once(tied, tmp_path):
    artifact = write_artifact(SmallShards(), tied, tmp_path / "artifact", "bf16", options=PLAIN)
    shards = sorted(path.name for path in artifact.glob("*.safetensors"))
    index = json.loads((artifact / "model.safetensors.index.json").read_text())
    assert len(shards) > 2
    assert sorted(set(index["weight_map"].values())) == shards
    assert set(index["weight_map"]) == set(tied.weights)
    assert json.loads((artifact / "checkpoints.json").read_text())["checkpoints"] == shards
    names = [name for name, _ in SmallShards().stored_weights(artifact)]
    assert sorted(names) == sorted(tied.weights)


def test_files_have_the_sizes_that_were_promised(small, artifact):
    layout = lay_out(GaudiTarget(), small, artifact, "bf16", tokenizer=True)
    sizes = {file.path: file.size for file in layout.files}
    assert sizes == {path.name: path.stat().st_size for path in artifact.iterdir()}
    assert not any(path.endswith(".bin") or "/" in path for path in sizes)


def test_two_runs_give_the_same_bytes(tied, tmp_path):
    folders = [
        write_artifact(SmallShards(), tied, tmp_path / name, "bf16", options=PLAIN)
        for name in ("one", "two")
    ]
    contents = [{path.name: path.read_bytes() for path in one.iterdir()} for one in folders]
    assert contents[0] == contents[1]
    assert not any(str(tmp_path).encode() in data for data in contents[0].values())


def test_stored_weights_are_the_original_rounded(small, artifact):
    import ml_dtypes

    stored = dict(GaudiTarget().stored_weights(artifact))
    for name, weight in small.weights.items():
        original = weight.read_rows(0, weight.rows).reshape(weight.shape)
        assert np.array_equal(stored[name], original.astype(ml_dtypes.bfloat16).astype("f4"))


def test_users_are_told_that_no_card_was_at_hand(small, tmp_path):
    notes = lay_out(GaudiTarget(), small, tmp_path, "bf16").notes
    assert any("unverified on Gaudi" in note for note in notes)


def test_a_missing_tokenizer_is_refused(small, tmp_path):
    with pytest.raises(UnsupportedTokenizerError):
        lay_out(GaudiTarget(), small, tmp_path, "bf16", tokenizer=True)


def test_another_encoding_is_refused(small, tmp_path):
    with pytest.raises(UnsupportedEncodingError, match="gaudi"):
        lay_out(GaudiTarget(), small, tmp_path, "int8")


def test_unknown_options_are_refused(small, tmp_path):
    with pytest.raises(UsageError, match="speed"):
        GaudiTarget().passes({"speed": 8})
    source = Source("small", tmp_path, small.raw_config, small.config)
    with pytest.raises(UsageError, match="speed"):
        GaudiTarget().lay_out(LayoutRequest(source, small.graph(), False, {"speed": 8}))


@pytest.mark.parametrize(
    ("asked", "card", "stored"),
    [
        ("bf16", "gaudi1", "bf16"),
        ("fp8", "gaudi2", "fp8_240"),
        ("fp8", "gaudi3", "fp8"),
        ("fp8_240", "gaudi3", "fp8_240"),
        ("fp8_tensor", "gaudi2", "fp8_tensor_240"),
    ],
)
def test_fp8_is_within_the_range_of_the_card(asked, card, stored):
    assert GaudiTarget().stored_as(asked, {"card": card}) == stored


def test_a_card_without_fp8_is_refused():
    with pytest.raises(UnsupportedEncodingError, match="no FP8"):
        GaudiTarget().stored_as("fp8", {"card": "gaudi1"})


def test_devices_are_planned_for_where_the_options_name_them(small):
    model, target = small.graph(), GaudiTarget()
    assert target.plan_deployment(small.config, model, {"graphs": False}) is None
    planned = target.plan_deployment(small.config, model, {"card": "gaudi1"})
    assert planned is not None and planned.capacity == 32_000_000_000
