"""Recording a tiny model: figures, determinism, refusals."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    OutOfMemoryError,
    TensorMismatchError,
    UnsupportedTokenizerError,
)
from golden import memory
from golden.format import GENERATED_TOKENS, read
from golden.record import main, record

PROMPTS = ["he said the sheep", "A b c"]


def test_logits_are_those_of_transformers(checkpoint, tmp_path):
    from transformers import AutoModelForCausalLM

    record(checkpoint, tmp_path / "golden", prompts=PROMPTS, digest="d", label="tiny")
    golden = read(tmp_path / "golden")
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    for index, ids in enumerate(golden.prompts):
        with torch.inference_mode():
            expected = model(torch.tensor([ids])).logits[0].numpy()
        np.testing.assert_allclose(golden.logits(index), expected, atol=2e-5 * expected.std())
    header = golden.header
    assert (header.model.label, header.model.digest, header.model.vocab) == ("tiny", "d", 320)
    assert header.stop_ids == (2,)


def test_texts_and_chats_are_recorded(checkpoint, tmp_path):
    record(checkpoint, tmp_path / "golden", prompts=PROMPTS)
    header = read(tmp_path / "golden").header
    assert len(header.tokenized) > 50
    # "</s>" as text is six bytes, not the special token; "he" is the one merge.
    by_text = {item.text: item.ids for item in header.tokenized}
    assert len(by_text["hello"]) == 4
    assert header.chats[0].text == "<user>What is the capital of France?<assistant>"
    assert json.loads(header.tokenizer_json)["model"]["type"] == "BPE"
    assert len(header.sample_ids) > 4


def test_the_original_goes_on_as_transformers_does(checkpoint, tmp_path):
    from transformers import AutoModelForCausalLM

    record(checkpoint, tmp_path / "golden", prompts=PROMPTS)
    header = read(tmp_path / "golden").header
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    sample = torch.tensor([header.sample_ids])
    drawn = model.generate(sample, max_new_tokens=GENERATED_TOKENS, do_sample=False)
    expected = [token for token in drawn[0, sample.shape[1] :].tolist() if token != 2]
    assert len(expected) > 1
    assert list(header.continuation) == expected


def test_two_recordings_are_the_same_bytes(checkpoint, tmp_path):
    for name in ("one", "two"):
        record(checkpoint, tmp_path / name, label="tiny")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_long_prompts_are_cut_to_the_models_context(checkpoint, tmp_path):
    record(checkpoint, tmp_path / "golden", prompts=["word " * 200])
    assert [len(ids) for ids in read(tmp_path / "golden").prompts] == [128 - 32]


def test_without_a_tokenizer_prompts_are_the_models_own(bare_checkpoint, tmp_path):
    for name in ("one", "two"):
        record(bare_checkpoint, tmp_path / name, tokenizer=False, label="bare")
    golden = read(tmp_path / "one")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {ids[0] for ids in golden.prompts} == {1}
    assert len(set(golden.prompts)) == len(golden.prompts) > 1
    assert golden.header.tokenized == golden.header.chats == ()
    assert golden.header.tokenizer_json is None
    # Drawn from the model: far likelier than tokens drawn evenly.
    logits = golden.logits(0).astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    drawn = [log_p[i, token] for i, token in enumerate(golden.prompts[0][1:])]
    assert np.mean(drawn) > log_p.mean() + 0.5


def test_a_tokenizer_that_is_not_there(bare_checkpoint, tmp_path):
    with pytest.raises(UnsupportedTokenizerError) as caught:
        record(bare_checkpoint, tmp_path / "golden")
    assert "--no-tokenizer" in str(caught.value)


def test_a_model_that_does_not_fit(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: memory.OVERHEAD)
    with pytest.raises(OutOfMemoryError) as caught:
        record(checkpoint, tmp_path / "golden")
    assert caught.value.exit_code == 5
    assert "--golden FILE" in str(caught.value)
    assert "--no-gate" in str(caught.value)
    assert not (tmp_path / "golden").exists()


def test_no_checkpoint(tmp_path):
    with pytest.raises(MissingFileError, match=r"config\.json"):
        record(tmp_path, tmp_path / "golden")


def test_a_missing_weight_is_not_made_up(bare_checkpoint, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = tmp_path / "holed"
    shutil.copytree(bare_checkpoint, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TensorMismatchError, match="1 weights"):
        record(folder, tmp_path / "golden", tokenizer=False)


def test_program(checkpoint, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("he and she\n---\nwe\n")
    out, report = tmp_path / "golden", tmp_path / "report.json"
    arguments = [str(checkpoint), "--out", str(out), "--prompts", str(prompts), "--threads", "1"]
    assert main([*arguments, "--json", str(report)]) == 0
    assert len(read(out).prompts) == 2
    assert json.loads(report.read_text()) == {"golden": "golden"}


def test_program_reports_errors(tmp_path, capsys):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    (broken / "model.safetensors").write_bytes(b"x" * 40)
    report = tmp_path / "report.json"
    assert main([str(broken), "--out", str(tmp_path / "g"), "--json", str(report)]) == 6
    assert json.loads(report.read_text())["error"]["class"] == BadHeaderError.__name__
    assert "damaged" in capsys.readouterr().err
