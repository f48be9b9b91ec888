import shutil

import numpy as np
import pytest

from convert.errors import RunnerCrashedError, UnsupportedError, UsageError
from targets.gaudi.loaded import FilePrograms
from targets.gaudi.lowered import CACHE_BUCKET, PROMPT_BUCKET
from targets.gaudi.run import GaudiRunner
from targets.gaudi.stored_tensors import mapped_tensors
from targets.gaudi.target import GaudiTarget
from tests.support.artifact import write_artifact
from tests.support.batches import require_batches
from tests.support.models import random_ids, small_model
from tests.support.odd_models import ODD_MODELS
from tests.support.ort import relative_error
from tests.support.programs import with_programs
from tests.support.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaudi")
    save_tokenizer(folder / "checkpoint")
    small = small_model("llama")
    return write_artifact(
        GaudiTarget(),
        small,
        folder / "artifact",
        "bf16",
        checkpoint=folder / "checkpoint",
        tokenizer=True,
    )


@pytest.fixture(scope="module")
def batched(tmp_path_factory):
    """An artifact with programs for two sequences, and the model it is of."""
    small = small_model("yuan", num_hidden_layers=1)
    folder = tmp_path_factory.mktemp("batched")
    return with_programs(small, folder, batch=2, context=40, buckets=[8, 16]), small


def reference(folder, ids, dtype):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        str(folder), dtype=dtype, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].float().numpy()


FITTING = [name for name, (family, _) in ODD_MODELS.items() if family in GaudiTarget.families]


@pytest.mark.parametrize("name", FITTING)
def test_in_float32_it_equals_transformers_on_the_same_weights(name, tmp_path):
    import torch

    model_type, overrides = ODD_MODELS[name]
    small = small_model(model_type, **overrides)
    artifact = write_artifact(
        GaudiTarget(), small, tmp_path / "artifact", "bf16", options={"graphs": False}
    )
    for weight in small.torch_model.parameters():
        weight.data = weight.data.to(torch.bfloat16).float()
    ids = random_ids(1, PROMPT_BUCKET + 9, small.config.vocab)
    runner = GaudiRunner(artifact, threads=1, dtype=torch.float32)
    found = runner.logits(ids[0].tolist(), PROMPT_BUCKET + 3)
    assert relative_error(found, small.logits(ids)[0]) < 1e-4


def test_in_bfloat16_it_is_as_far_from_float32_as_transformers_is(artifact):
    import torch

    ids = random_ids(1, 40, 101)[0].tolist()
    exact = reference(artifact, ids, torch.float32)
    theirs = np.abs(reference(artifact, ids, torch.bfloat16) - exact).mean()
    ours = np.abs(GaudiTarget().runner(artifact, threads=1).logits(ids, 30) - exact).mean()
    assert 0 < ours < 1.5 * theirs


def test_the_cache_grows_without_forgetting(artifact):
    import torch

    ids = random_ids(1, CACHE_BUCKET, 101)[0].tolist()
    runner = GaudiRunner(artifact, threads=1, dtype=torch.float32)
    expected = reference(artifact, ids, torch.float32)
    split = CACHE_BUCKET - PROMPT_BUCKET
    assert relative_error(runner.logits(ids, split), expected) < 1e-4


def test_reset_forgets_the_sequence(artifact):
    runner = GaudiTarget().runner(artifact, threads=1)
    first = runner.feed([5, 6, 7])
    runner.feed([8])
    runner.reset()
    assert np.array_equal(runner.feed([5, 6, 7]), first)


def test_text_goes_through_the_tokenizer_of_the_artifact(artifact):
    runner = GaudiTarget().runner(artifact, threads=1)
    assert len(runner.tokenize("a</s>")) == 5
    assert runner.chat([{"role": "user", "content": "hi"}]).endswith("<s>assistant:")


def test_without_a_tokenizer_there_is_no_text(tmp_path):
    artifact = write_artifact(
        GaudiTarget(),
        small_model("qwen3"),
        tmp_path / "artifact",
        "bf16",
        options={"graphs": False},
    )
    runner = GaudiTarget().runner(artifact, threads=1)
    assert runner.tokenize("a") is None
    assert runner.chat([]) is None


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
def test_a_damaged_artifact_is_refused(artifact, tmp_path, broken):
    shutil.copytree(artifact, tmp_path / "artifact")
    (tmp_path / "artifact" / broken).write_bytes(b"{")
    with pytest.raises(RunnerCrashedError, match="Gaudi"):
        GaudiTarget().runner(tmp_path / "artifact", threads=1)


def test_its_own_programs_give_the_logits_of_the_original(batched):
    artifact, small = batched
    with GaudiRunner(artifact, threads=1) as runner:
        assert runner.context == 40
        # Through buckets of 16, 16 and, where no bucket fits any more, token by token.
        ids = random_ids(1, 39, small.config.vocab)
        assert relative_error(runner.logits(ids[0].tolist(), 37), small.logits(ids)[0]) < 1e-4


def test_a_batch_is_padded_on_the_left(batched):
    artifact, small = batched
    with GaudiRunner(artifact, threads=1) as runner:
        require_batches(runner, small, tolerance=1e-4, lengths=(11, 3))
        require_batches(runner, small, tolerance=1e-4, lengths=(5,))


def test_without_programs_a_batch_is_of_any_size(tmp_path):
    small = small_model("bloom", num_hidden_layers=1)
    with_programs(small, tmp_path, context=8, buckets=[])
    (tmp_path / "decode.pt2").unlink()
    with GaudiRunner(tmp_path, threads=1) as runner:
        require_batches(runner, small, tolerance=1e-4)


def test_what_the_programs_cannot_hold_is_refused(batched):
    artifact, _ = batched
    with GaudiRunner(artifact, threads=1) as runner:
        with pytest.raises(UnsupportedError, match="a batch of 2"):
            runner.begin([[1], [2], [3]])
        with pytest.raises(UsageError, match="sequences of 40 tokens"):
            runner.feed([1] * 41)
        runner.feed([1] * 40)
        with pytest.raises(UsageError, match="sequences of 40 tokens"):
            runner.feed([1])


@pytest.mark.parametrize("name", ["decode.pt2", "model.safetensors"])
def test_programs_that_do_not_fit_the_weights_are_refused(batched, tmp_path, name):
    from safetensors.torch import load_file, save_file

    shutil.copytree(batched[0], tmp_path, dirs_exist_ok=True)
    if name == "decode.pt2":
        (tmp_path / name).write_bytes(b"PK")
    else:
        weights = load_file(tmp_path / name)
        save_file({key: value.bfloat16() for key, value in weights.items()}, tmp_path / name)
    with pytest.raises(RunnerCrashedError, match=r"decode\.pt2"):
        GaudiRunner(tmp_path, threads=1)


def test_a_bucket_is_loaded_when_it_is_first_used(batched):
    programs = FilePrograms(batched[0], mapped_tensors(batched[0]))
    assert (programs.buckets, programs.batch) == ((1, 8, 16), 2)
    assert programs.step(8) is programs.step(8)
