import numpy as np
import pytest

from convert.errors import RunnerCrashedError
from targets import left_padding
from targets.onnx.target import OnnxTarget
from tests.support.artifact import write_artifact
from tests.support.batches import require_batches
from tests.support.models import position_ids, random_ids, small_model
from tests.support.odd_models import EXPERT_MODELS, ODD_MODELS
from tests.support.ort import relative_error
from tests.support.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    save_tokenizer(folder / "checkpoint")
    return write_artifact(
        OnnxTarget(),
        small_model("llama"),
        folder / "artifact",
        "f32",
        checkpoint=folder / "checkpoint",
        tokenizer=True,
    )


MODELS = {**ODD_MODELS, **{name: EXPERT_MODELS[name] for name in ("mixtral", "qwen2_moe")}}


@pytest.mark.parametrize("name", MODELS)
def test_it_equals_transformers_for_a_prompt_and_token_by_token(name, tmp_path):
    model_type, overrides = MODELS[name]
    small = small_model(model_type, **overrides)
    artifact = write_artifact(OnnxTarget(), small, tmp_path / "artifact", "f32")
    ids = random_ids(1, 24, small.config.vocab)
    with OnnxTarget().runner(artifact, threads=1) as runner:
        for prefill in (1, 17, 24):
            found = runner.logits(ids[0].tolist(), prefill)
            assert relative_error(found, small.logits(ids)[0]) < 1e-4


@pytest.mark.parametrize("name", MODELS)
def test_a_left_padded_batch_of_unequal_lengths_equals_transformers(name, tmp_path):
    import onnxruntime

    model_type, overrides = MODELS[name]
    small = small_model(model_type, **overrides)
    artifact = write_artifact(OnnxTarget(), small, tmp_path / "artifact", "f32")
    ids = random_ids(3, 11, small.config.vocab)
    mask = np.array([[slot >= padding for slot in range(11)] for padding in (0, 4, 8)], np.int64)
    expected = small.logits(ids, mask)
    session = onnxruntime.InferenceSession(str(artifact / "model.onnx"))
    past = {
        value.name: np.zeros(
            (3, *(axis if isinstance(axis, int) else 0 for axis in value.shape[1:])), np.float32
        )
        for value in session.get_inputs()
        if value.name.startswith("past")
    }
    names = [value.name for value in session.get_outputs()]
    for start, stop in ((0, 9), (9, 10), (10, 11)):
        feed = {
            "input_ids": ids[:, start:stop],
            "attention_mask": mask[:, :stop],
            "position_ids": position_ids(mask)[:, start:stop],
        }
        found = dict(zip(names, session.run(None, feed | past), strict=True))
        past = {name: found[name.replace("past_key_values", "present")] for name in past}
        kept = mask[:, start:stop] == 1
        wanted = expected[:, start:stop]
        assert np.abs(found["logits"] - wanted)[kept].max() < 1e-4 * expected.std()


@pytest.mark.parametrize("model_type", ["llama", "yuan"])
@pytest.mark.parametrize("at_once", [1, 4, 100])
def test_a_batch_equals_its_sequences_alone(model_type, at_once, tmp_path, monkeypatch):
    small = small_model(model_type)
    monkeypatch.setattr(left_padding, "LARGEST_LOGITS", at_once * 3 * small.config.vocab)
    artifact = write_artifact(OnnxTarget(), small, tmp_path / "artifact", "f32")
    with OnnxTarget().runner(artifact, threads=1) as runner:
        runner.feed([1, 2, 3])
        require_batches(runner, small, tolerance=1e-4)
        require_batches(runner, small, tolerance=1e-4, lengths=(1, 5))


@pytest.mark.parametrize("encoding", ["bf16", "int8", "int8_asym", "int4_g32", "int4_sym_g32"])
def test_encoded_weights_run_as_the_graph_with_the_decoded_ones(encoding, tmp_path):
    import torch

    small = small_model("qwen2", tie_word_embeddings=True)
    target = OnnxTarget()
    artifact = write_artifact(target, small, tmp_path / "artifact", encoding)
    decoded = dict(target.stored_weights(artifact))
    small.torch_model.load_state_dict(
        {name: torch.tensor(weight) for name, weight in decoded.items()}, strict=False
    )
    ids = random_ids(1, 12, 101)
    found = target.runner(artifact, threads=1).logits(ids[0].tolist(), 8)
    assert relative_error(found, small.logits(ids)[0]) < 1e-4


def test_reset_forgets_the_sequence(artifact):
    runner = OnnxTarget().runner(artifact, threads=1)
    first = runner.feed([5, 6, 7])
    runner.feed([8])
    runner.reset()
    assert np.array_equal(runner.feed([5, 6, 7]), first)


def test_text_goes_through_the_tokenizer_of_the_artifact(artifact):
    runner = OnnxTarget().runner(artifact, threads=1)
    assert len(runner.tokenize("a</s>")) == 5
    assert runner.chat([{"role": "user", "content": "hi"}]).endswith("<s>assistant:")
    assert runner.detokenize(runner.prompt_ids("<s>a é")) == "a é"


def test_without_a_tokenizer_there_is_no_text(tmp_path):
    artifact = write_artifact(OnnxTarget(), small_model("qwen3"), tmp_path / "artifact", "f32")
    runner = OnnxTarget().runner(artifact, threads=1)
    assert runner.tokenize("a") is runner.prompt_ids("a") is runner.detokenize([1]) is None
    assert runner.chat([]) is None


def test_a_damaged_model_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(RunnerCrashedError, match="onnxruntime"):
        OnnxTarget().runner(tmp_path, threads=1)
