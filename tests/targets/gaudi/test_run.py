import numpy as np
import pytest

from convert.errors import RunnerCrashedError
from targets.gaudi.lowered import CACHE_BUCKET, PROMPT_BUCKET
from targets.gaudi.run import GaudiRunner
from targets.gaudi.target import GaudiTarget
from tests.support.artifact import write_artifact
from tests.support.models import random_ids, small_model
from tests.support.odd_models import ODD_MODELS
from tests.support.ort import relative_error
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
        GaudiTarget(), small_model("qwen3"), tmp_path / "artifact", "bf16", options={"graphs": False}
    )
    runner = GaudiTarget().runner(artifact, threads=1)
    assert runner.tokenize("a") is None
    assert runner.chat([]) is None


@pytest.mark.parametrize("broken", ["config.json", "model.safetensors"])
def test_a_damaged_artifact_is_refused(artifact, tmp_path, broken):
    import shutil

    shutil.copytree(artifact, tmp_path / "artifact")
    (tmp_path / "artifact" / broken).write_bytes(b"{")
    with pytest.raises(RunnerCrashedError, match="Gaudi"):
        GaudiTarget().runner(tmp_path / "artifact", threads=1)
