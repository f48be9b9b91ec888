"""Inputs are found again by their hashes; what is missing, too much or another is refused."""

from __future__ import annotations

import hashlib
import shutil

import pytest

from convert.checkpoint import open_checkpoint
from convert.errors import ChangedInputError, MissingFileError, UsageError
from convert.inputs import describe_source
from convert.manifest import ImatrixRecord, RunRecord
from convert.provenance.frozen_inputs import Given, frozen_recipe, open_frozen, run_of
from convert.recipe import Artifact
from tests.support.finished import manifest_of, source_record
from tests.support.runs import TINY_LLAMA

OWN = ("calibrate", "prompts", "imatrix")


@pytest.fixture
def files(tmp_path):
    for name in OWN:
        (tmp_path / name).write_text(name)
    return {name: tmp_path / name for name in OWN}


@pytest.fixture
def manifest(tmp_path, files):
    """Of a run with a text, prompts, an imatrix and an adapter of its own."""
    digest = {name: hashlib.sha256(name.encode()).hexdigest() for name in OWN}
    told = RunRecord(
        tokenizer=False,
        strict=True,
        calibrate="calibrate",
        calibrate_sha256=digest["calibrate"],
        calibration_tokens=99,
        prompts="prompts",
        prompts_sha256=digest["prompts"],
        lora=("polite",),
    )
    imatrix = ImatrixRecord(file="imatrix", sha256=digest["imatrix"], tokens=1)
    return manifest_of(tmp_path / "absent", run=told, imatrix=imatrix)


def given(files, tmp_path, **changes):
    return Given(**{"model": "m", "lora": (tmp_path / "polite",), **files, **changes})


def test_a_recipe_is_made_of_what_the_manifest_says(manifest, files, tmp_path):
    recipe = frozen_recipe(manifest, given(files, tmp_path))
    assert (recipe.model, recipe.revision, recipe.calibration_tokens) == ("m", None, 99)
    assert recipe.artifacts == (manifest.recipe,)
    assert recipe.lora == (str(tmp_path / "polite"),)
    found = (recipe.calibrate, recipe.prompts, recipe.imatrix)
    assert found == tuple(str(files[name]) for name in OWN)


@pytest.mark.parametrize("name", OWN)
def test_a_file_of_ones_own_must_be_given_and_be_the_same(manifest, files, tmp_path, name):
    with pytest.raises(UsageError, match="not given"):
        frozen_recipe(manifest, given(files, tmp_path, **{name: None}))
    files[name].write_text("other")
    with pytest.raises(ChangedInputError, match="not the file"):
        frozen_recipe(manifest, given(files, tmp_path))
    files[name].unlink()
    with pytest.raises(MissingFileError):
        frozen_recipe(manifest, given(files, tmp_path))


@pytest.mark.parametrize("name", OWN)
def test_a_file_that_the_run_had_not_is_refused(tmp_path, files, name):
    manifest = manifest_of(tmp_path / "absent", run=None)
    with pytest.raises(UsageError, match="without such a file"):
        frozen_recipe(manifest, Given("m", **{name: files[name]}))


def test_adapters_must_be_as_many(manifest, files, tmp_path):
    with pytest.raises(UsageError, match="other adapters") as caught:
        frozen_recipe(manifest, given(files, tmp_path, lora=()))
    assert caught.value.expected == "--lora polite"


def test_the_hub_is_asked_for_the_commit_and_a_folder_must_be_named(tmp_path):
    hub = manifest_of(tmp_path, run=None, source=source_record("org/model@0123abc"))
    recipe = frozen_recipe(hub, Given())
    assert (recipe.model, recipe.revision, recipe.calibrate) == ("org/model", "0123abc", "sample")
    with pytest.raises(UsageError, match="on a disk"):
        frozen_recipe(manifest_of(tmp_path, run=None), Given())


def test_a_mix_is_asked_for_as_it_was(tmp_path):
    asked = Artifact(format="gguf", target_bits=5.0)
    told = RunRecord(tokenizer=True, strict=False, calibrate="none", asked=asked)
    recipe = frozen_recipe(manifest_of(tmp_path, run=told), Given("m"))
    assert (recipe.artifacts, recipe.calibrate) == ((asked,), "none")
    assert run_of(manifest_of(tmp_path, run=None)).strict is False


def test_the_checkpoint_keeps_its_name_and_must_be_the_same(tmp_path):
    source = describe_source(open_checkpoint(str(TINY_LLAMA)))
    assert (source.architecture, source.licence) == ("llama", "apache-2.0")
    copy = shutil.copytree(TINY_LLAMA, tmp_path / "elsewhere")
    manifest = manifest_of(tmp_path / "absent", run=None, source=source)
    recipe = frozen_recipe(manifest, Given(str(copy)))
    opened = open_frozen(recipe, source, tmp_path)
    assert opened.checkpoint.label == opened.inputs.record().label == "tiny-llama"
    (copy / "generation_config.json").write_text("{}")
    (copy / "chat_template.jinja").unlink()
    (copy / "merges.txt").write_text("")
    with pytest.raises(ChangedInputError) as caught:
        open_frozen(recipe, source, tmp_path)
    assert caught.value.exit_code == 6
    assert caught.value.found == (
        "chat_template.jinja is missing; merges.txt was added; generation_config.json differs"
    )
