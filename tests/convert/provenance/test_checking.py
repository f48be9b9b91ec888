"""What can be refused without running an artifact is refused; what is sound says who signed it."""

from __future__ import annotations

import json

import pytest

from convert.errors import SignatureError, VerificationError
from convert.manifest import MANIFEST_NAME, SIGNATURE_NAME
from convert.provenance.checking import check_artifact
from convert.provenance.derived import write_derived
from convert.provenance.signatures import Trust
from tests.support.finished import finished_artifact


def forge(folder, change):
    path = folder / MANIFEST_NAME
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def better_figure(document):
    document["gate"]["result"]["overall"]["mean_kld"] = 1e-5


def other_recipe(document):
    document["recipe"]["encoding"] = "q8_0"


def test_what_is_sound_says_what_is_known_of_its_signature(signed, key, tmp_path):
    assert check_artifact(finished_artifact(tmp_path / "a")).line() == "signature: not signed"
    assert "not checked" in check_artifact(signed).line()
    (signed / "README.md").write_text("")
    said = check_artifact(signed, Trust(key.public)).line()
    assert "good, by" in said
    assert "does not cover README.md" in said
    assert check_artifact(signed).manifest.gate.status == "passed"


@pytest.mark.parametrize("change", [better_figure, other_recipe])
def test_a_manifest_changed_alone_contradicts_what_followed_from_it(tmp_path, change):
    folder = finished_artifact(tmp_path / "a")
    forge(folder, change)
    with pytest.raises(VerificationError, match="contradict each other"):
        check_artifact(folder)


@pytest.mark.parametrize("change", [better_figure, other_recipe])
def test_one_changed_with_all_that_follows_does_not_survive_the_signature(signed, key, change):
    forge(signed, change)
    write_derived(signed)
    check_artifact(signed)
    with pytest.raises(SignatureError, match="not what was signed"):
        check_artifact(signed, Trust(key.public))


def test_a_signature_cannot_be_dropped(signed, key):
    (signed / SIGNATURE_NAME).unlink()
    with pytest.raises(SignatureError, match="is not signed"):
        check_artifact(signed, Trust(key.public))


@pytest.mark.parametrize("name", ["more.py", "linked"])
def test_an_unlisted_file_is_refused_without_a_signature_too(tmp_path, name):
    folder = finished_artifact(tmp_path / "a")
    (tmp_path / "elsewhere").mkdir()
    if name == "linked":
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / name).write_text("")
    with pytest.raises(VerificationError, match="not what its manifest says") as caught:
        check_artifact(folder)
    assert f"{name} was added" in caught.value.found
