"""A run finds a mix by measuring, keeps what it measured, and says what it chose."""

from __future__ import annotations

import io

import pytest

from convert import mixing_measure
from convert.checkpoint import open_checkpoint
from convert.errors import UnsupportedTokenizerError, UsageError
from convert.manifest import read_manifest
from convert.mixing_measure import Mixer, together
from convert.mixing_store import keep, load, sensitivities_name
from convert.pipeline import RunRequest, run
from convert.preparation import open_source, resolve_encoding, stored_graph
from convert.progress import Reporter
from convert.recipe import Artifact, Recipe
from passes.calibration.sensitivity import Asked, Sensitivity, Texts
from passes.encodings import encoding
from targets import target
from tests.support.models import small_model
from tests.support.tokenizer import save_tokenizer

CANDIDATES = ("int4_g32", "int8", "bf16")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    small_model(
        "llama", vocab_size=300, hidden_size=64, intermediate_size=96, num_attention_heads=4
    ).save(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


def mix(folder, out, **goal):
    """A mix and what was said."""
    checkpoint, lines = open_checkpoint(str(folder)), io.StringIO()
    source = open_source(checkpoint)
    artifact = resolve_encoding(Artifact(format="onnx", candidates=CANDIDATES, **goal))
    mixer = Mixer(checkpoint, source.config, "digest", out, text=None, reporter=Reporter(lines))
    stored = stored_graph(
        checkpoint.config, source.config, checkpoint.weights, artifact, strict=False
    )
    return mixer.mix(stored, target("onnx"), artifact), lines.getvalue()


def test_what_was_measured_is_kept(folder, out, monkeypatch):
    first, said = mix(folder, out, target_bits=8)
    assert "measure 16 weights on 64 tokens" in said
    assert first.kld > 0
    assert first.predicted == pytest.approx(first.kld, rel=0.5)
    monkeypatch.setattr(mixing_measure, "measure", None)
    again, said = mix(folder, out, target_bits=8)
    assert again == first
    assert "is there already" in said
    [path] = out.glob("sensitivities-*.json")
    kept = load(path)
    lost = next(iter(kept))
    keep(path, {name: one for name, one in kept.items() if name != lost})
    monkeypatch.undo()
    again, said = mix(folder, out, target_bits=8)
    assert "measure 1 weights" in said
    assert load(path).keys() == kept.keys()
    assert again.predicted == pytest.approx(first.predicted, rel=1e-3)


def test_groups_that_fit_into_memory_give_the_same(folder, out, tmp_path, monkeypatch):
    first, _ = mix(folder, out, target_bits=8)
    monkeypatch.setattr(mixing_measure, "default_budget", lambda: 4 * 64 * 6 * 300 * 5)
    again, _ = mix(folder, tmp_path, target_bits=8)
    assert again.predicted == pytest.approx(first.predicted, rel=1e-3)


def test_a_largest_divergence_is_kept_to(folder, out):
    loose, _ = mix(folder, out, target_bits=5.5)
    found, _ = mix(folder, out, max_kld=loose.kld / 2)
    assert found.kld <= 0.45 * loose.kld
    assert loose.nbytes < found.nbytes


def test_a_model_without_a_tokenizer_is_refused(tmp_path):
    small_model("llama").save(tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="takes the model's tokenizer"):
        mix(tmp_path, tmp_path, target_bits=8)


def test_a_run_makes_the_artifact_of_a_mix(folder, tmp_path):
    artifact = Artifact(format="onnx", target_bits=8, candidates=CANDIDATES)
    recipe = Recipe(name="mixed", model=str(folder), artifacts=(artifact,))
    lines = io.StringIO()
    [made] = run(RunRequest(recipe, tmp_path, threads=1, gate=False), Reporter(lines))
    manifest = read_manifest(made)
    assert made.name == "onnx-8bits"
    assert "onnx-8bits:\n" in lines.getvalue()
    assert manifest.mix is not None
    assert manifest.mix.bits <= 8
    stored = {one.name: one.encoding for one in manifest.tensors}
    assert {stored[name] for name in manifest.mix.costs} <= set(CANDIDATES)
    assert manifest.recipe.encoding == "int4_g32"
    total = sum(one.bytes for one in manifest.tensors)
    assert total <= sum(_elements(one.shape) for one in manifest.tensors)


def test_a_run_that_wants_no_text_cannot_mix(folder, tmp_path):
    recipe = Recipe(
        name="mixed",
        model=str(folder),
        calibrate="none",
        artifacts=(Artifact(format="onnx", target_bits=8),),
    )
    with pytest.raises(UsageError, match="found by measuring on a text"):
        run(RunRequest(recipe, tmp_path, threads=1, gate=False), Reporter(io.StringIO()))


def test_sensitivities_come_back_exactly_and_damaged_ones_do_not(tmp_path):
    path = tmp_path / "new" / "s.json"
    assert load(path) == {}
    found = {"a": Sensitivity({"int8": 1 / 3}, {"int8": 1e-7}), "b": Sensitivity({}, {})}
    keep(path, found)
    assert load(path) == found
    path.write_text(path.read_text().replace("1e-07", "-1"))
    assert load(path) == {}


def test_a_file_of_sensitivities_is_named_by_what_decides():
    texts, asked = Texts(((1, 2),), ((3,),)), [Asked("w", (encoding("int8"),), ("int8",))]
    names = {
        sensitivities_name("digest", texts, asked),
        sensitivities_name("other", texts, asked),
        sensitivities_name("digest", Texts(((1,),), ((3,),)), asked),
        sensitivities_name("digest", Texts(((1, 2),), ((4,),)), asked),
        sensitivities_name("digest", texts, [Asked("w", (encoding("int4"),), ("int4",))]),
    }
    assert len(names) == 5


def _elements(shape):
    count = 1
    for length in shape:
        count *= length
    return count


def test_experts_that_lie_in_one_tensor_are_stored_alike():
    scopes = [f"model.layers.{layer}.mlp.experts" for layer in range(2)]
    names = [f"{scope}.{n}.{part}.weight" for scope in scopes for n in (0, 1) for part in "ab"]
    groups = together(["lm_head.weight", *names], target("gguf"))
    stacks = {tuple(f"{s}.{n}.{part}.weight" for n in (0, 1)) for s in scopes for part in "ab"}
    assert set(groups) == stacks
    assert together(names, target("onnx")) == []
