"""Codes found by GPTQ reach the artifact, are kept, and are found again."""

import io

import numpy as np
import pytest

from convert.errors import UsageError
from convert.manifest import read_manifest
from convert.pipeline import RunRequest, run
from convert.progress import Reporter
from convert.recipe import NO_TEXT, Artifact
from targets import target
from tests.support.runs import recipe

DOWN = "model.layers.4.mlp.down_proj.weight"


def convert(out, *artifacts, calibrate):
    made = recipe("gguf:q4_0", calibrate=str(calibrate)).model_copy(update={"artifacts": artifacts})
    said = io.StringIO()
    request = RunRequest(recipe=made, out=out, threads=1, gate=False)
    return run(request, Reporter(said)), said.getvalue()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("The capital of France is Paris.\n---\nA river runs through the old town.\n")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory, text):
    """Two artifacts of the same codes, and one without any."""
    out = tmp_path_factory.mktemp("out")
    artifacts = [
        Artifact(format="gguf", encoding="q4_0", method="gptq"),
        Artifact(format="gguf", encoding="q4_0", method="gptq", name="again"),
        Artifact(format="gguf", encoding="q4_0"),
    ]
    return out, *convert(out, *artifacts, calibrate=text)


def stored(folder):
    return dict(target("gguf").stored_weights(folder))


def test_one_search_serves_two_artifacts(made):
    out, folders, said = made
    assert "gptq on " in said
    assert said.count("is there already") == 1
    kept = [path for path in out.iterdir() if path.name.startswith("gptq-")]
    assert len(kept) == 1
    assert {path.suffix for path in kept[0].iterdir()} == {".safetensors"}
    assert len(list(kept[0].iterdir())) == 35
    first, again, _ = (stored(folder) for folder in folders)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_the_artifact_decodes_to_other_weights_than_without(made):
    _, folders, _ = made
    found, _, plain = (stored(folder)[DOWN] for folder in folders)
    assert not np.array_equal(found, plain)
    rms = float(np.sqrt(np.mean(plain**2)))
    assert np.sqrt(np.mean((found - plain) ** 2)) < 0.3 * rms


def test_a_mix_gets_all_its_codes_in_one_run(tmp_path, text):
    """Of tiny-llama's rows 256 divides none: fallbacks have codes, and 8 bits need none.
    Embeddings that are the head as well are rounded as the head.
    """
    mix = Artifact(format="gguf", encoding="q4_k_m", method="gptq", embeddings="q5_0")
    [folder], _ = convert(tmp_path, mix, calibrate=text)
    kinds = {tensor.encoding for tensor in read_manifest(folder).tensors}
    assert {"q5_0", "q8_0"} <= kinds
    [kept] = [path for path in tmp_path.iterdir() if path.name.startswith("gptq-")]
    names = {path.stem for path in kept.iterdir()}
    assert "model.embed_tokens.weight" in names and DOWN not in names
    eights = [tensor for tensor in read_manifest(folder).tensors if tensor.encoding == "q8_0"]
    assert len(names) == 36 - len(eights)


def test_the_manifest_says_how_codes_were_found(made):
    _, folders, _ = made
    record = read_manifest(folders[0]).calibrated
    assert record is not None and record.method == "gptq" and record.tokens > 10
    assert read_manifest(folders[2]).calibrated is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"encoding": "q8_0"}, "no linear layers of few bits"),
        ({"tensor_parallel": 2, "format": "gaudi", "encoding": "bf16"}, "several devices"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, text, changed, said):
    asked = {"format": "gguf", "encoding": "q4_0", "method": "gptq", **changed}
    with pytest.raises(UsageError, match=said):
        convert(tmp_path, Artifact(**asked), calibrate=text)


def test_without_a_text_there_are_no_codes(tmp_path):
    with pytest.raises(UsageError, match="switched off"):
        convert(
            tmp_path, Artifact(format="gguf", encoding="q4_0", method="gptq"), calibrate=NO_TEXT
        )
