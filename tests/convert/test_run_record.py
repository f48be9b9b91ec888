"""What a run was told is kept for who repeats it: names and hashes, never places."""

from __future__ import annotations

import hashlib

from convert.mixing_artifacts import with_mix
from convert.recipe import Artifact, Recipe
from convert.run_record import run_record


def test_files_are_known_by_name_and_hash(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("hello")
    recipe = Recipe(
        name="r",
        calibrate=str(text),
        prompts=str(tmp_path / "absent.txt"),
        lora=(str(tmp_path / "polite"),),
        artifacts=(Artifact(format="gguf", encoding="q8_0"),),
    )
    record = run_record(recipe, recipe.artifacts[0], tokenizer=False, strict=True)
    assert str(tmp_path) not in record.model_dump_json()
    assert (record.calibrate, record.prompts, record.lora) == (
        "text.txt", "absent.txt", ("polite",),
    )  # fmt: skip
    assert record.calibrate_sha256 == hashlib.sha256(b"hello").hexdigest()
    assert record.prompts_sha256 is None
    assert (record.tokenizer, record.strict, record.asked) == (False, True, None)


def test_a_mix_is_kept_as_it_was_asked_for():
    asked = Artifact(format="gguf", target_bits=5.0)
    recipe = Recipe(name="r", artifacts=(Artifact(format="onnx"), asked))
    made = with_mix(asked, None).model_copy(update={"encoding": "q4_0"})
    record = run_record(recipe, made, tokenizer=True, strict=False)
    assert (record.asked, record.calibrate) == (asked, "sample")
