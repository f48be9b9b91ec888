"""Artifacts in transformers: the right logits, batches, and refusals."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from convert.errors import RunnerCrashedError, TricastError, UsageError
from targets.ipex import load
from targets.ipex.run import IpexRunner
from targets.ipex.stored import stored_weights
from tests.targets.ipex.artifacts import model, written

torch = pytest.importorskip("torch")
IDS = [3, 17, 40, 99, 5, 61, 8, 23]


def reference(small, artifact):
    """The original with the artifact's own weights, in the artifact's type."""
    own = copy.deepcopy(small.torch_model)
    own.set_attn_implementation("sdpa")
    stored = {name: torch.from_numpy(values) for name, values in stored_weights(artifact)}
    missing, unexpected = own.load_state_dict(stored, strict=False)
    assert (set(missing) <= {"lm_head.weight"}, unexpected) == (True, [])
    for parameter in own.parameters():  # buffers stay as they are
        parameter.data = parameter.data.to(torch.bfloat16)
    with torch.inference_mode():
        return own(torch.tensor([IDS]), use_cache=False).logits[0].float().numpy()


@pytest.fixture(scope="module", params=["llama", "bloom"])
def small(request):
    return model(request.param)


@pytest.mark.parametrize("encoding", ["bf16", "int4_sym_g32"])
def test_logits_are_those_of_the_stored_weights(tmp_path, small, encoding):
    artifact = written(small, tmp_path, encoding, chunk_bytes=4096)
    with IpexRunner(artifact, threads=1) as runner:
        found = runner.logits(IDS, len(IDS))
        assert np.array_equal(found, reference(small, artifact))
        assert runner.stop_ids == {2}
        generated = runner.generate(IDS, 4, frozenset())
    assert len(generated) == 4


def test_w8a8_rounds_inputs_as_well(tmp_path, small):
    pytest.importorskip("compressed_tensors")
    artifact = written(small, tmp_path, "w8a8", smooth_quant="none")
    with IpexRunner(artifact, threads=1) as runner:
        found = runner.logits(IDS, 4)
    plain = reference(small, artifact)
    error = np.abs(found - plain).max() / np.abs(plain).max()
    assert 1e-4 < error < 0.1


def test_what_is_not_installed_is_named(tmp_path, small, monkeypatch):
    artifact = written(small, tmp_path, "w8a8", smooth_quant="none")
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="compressed-tensors"):
        IpexRunner(artifact, threads=1)


def test_batches_and_single_sequences_agree(tmp_path, small):
    artifact = written(small, tmp_path, "f32")
    with IpexRunner(artifact, threads=1) as runner:
        alone = [runner.logits(ids, len(ids))[-1] for ids in (IDS, IDS[:3])]
        stepped = runner.logits(IDS, 3)
        whole = runner.logits(IDS, len(IDS))
        together = runner.begin([IDS[:-1], IDS[:2]])
        advanced = runner.advance([IDS[-1], IDS[2]])
    assert together.shape == advanced.shape == (2, 104)
    assert np.allclose(advanced, alone, rtol=0, atol=1e-3)
    assert np.allclose(stepped, whole, rtol=0, atol=1e-3)


def test_there_is_no_batch_before_it_is_begun(tmp_path, small):
    with (
        IpexRunner(written(small, tmp_path, "bf16"), threads=1) as runner,
        pytest.raises(TricastError, match="no batch was begun"),
    ):
        runner.advance([1])


def test_damaged_artifacts_are_refused(tmp_path, small):
    artifact = written(small, tmp_path, "int4_sym_g32")
    with pytest.raises(RunnerCrashedError, match="transformers refuses"):
        IpexRunner(tmp_path, threads=1)
    weights = artifact / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-50])
    with pytest.raises(RunnerCrashedError, match="transformers refuses"):
        IpexRunner(artifact, threads=1)
    weights.write_bytes(data)
    config = json.loads((artifact / "config.json").read_text())
    layers = "num_hidden_layers" if "num_hidden_layers" in config else "n_layer"
    (artifact / "config.json").write_text(json.dumps({**config, layers: 3}))
    with pytest.raises(RunnerCrashedError, match="missing keys"):
        IpexRunner(artifact, threads=1)
