"""Statement and bill of materials follow from the manifest, byte for byte, and are held to it."""

from __future__ import annotations

import hashlib
import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from convert.errors import VerificationError
from convert.manifest import BOM_NAME, MANIFEST_NAME, STATEMENT_NAME, ImatrixRecord, RunRecord
from convert.provenance import model_card
from convert.provenance.bom import SCHEMA
from convert.provenance.derived import check_derived, derived_documents, write_derived
from convert.provenance.statement import BUILD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from tests.support.finished import finished_artifact, manifest_of, source_record

HUB = "org/model@0123abc"


def documents(folder, **changes):
    found = derived_documents(manifest_of(folder, **changes), b"manifest")
    return {name: json.loads(data) for name, data in found.items()}


def schema_faults(bom):
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    return [str(fault) for fault in validator.validate_str(json.dumps(bom), all_errors=True) or ()]


def test_equal_manifests_give_equal_bytes_and_others_another_serial_number(tmp_path):
    one, other = (finished_artifact(tmp_path / name) for name in "ab")
    for name in (STATEMENT_NAME, BOM_NAME):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    manifest = manifest_of(tmp_path)
    serials = {
        json.loads(derived_documents(manifest, data)[BOM_NAME])["serialNumber"]
        for data in (b"a", b"b")
    }
    assert len(serials) == 2


def test_every_file_and_the_manifest_are_subjects(tmp_path):
    folder = finished_artifact(tmp_path / "a")
    statement = json.loads((folder / STATEMENT_NAME).read_text())
    assert statement["_type"] == STATEMENT_TYPE == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == PREDICATE_TYPE == "https://slsa.dev/provenance/v1"
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert subjects == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("model.gguf", "sub/config.json", MANIFEST_NAME)
    }


def test_the_statement_says_what_was_made_of_what_and_how_good_it_is(tmp_path):
    given = RunRecord(
        tokenizer=True,
        strict=False,
        calibrate="mine.txt",
        calibrate_sha256="7" * 64,
        prompts="asked.txt",
        prompts_sha256="9" * 64,
    )
    imatrix = ImatrixRecord(file="i.gguf", sha256="6" * 64, tokens=5)
    statement = documents(tmp_path, source=source_record(HUB), run=given, imatrix=imatrix)[
        STATEMENT_NAME
    ]
    build, run = (statement["predicate"][key] for key in ("buildDefinition", "runDetails"))
    assert build["buildType"] == BUILD_TYPE
    assert build["externalParameters"]["recipe"]["encoding"] == "q4_0"
    assert build["externalParameters"]["run"]["calibrate"] == "mine.txt"
    found = {one["name"]: one for one in build["resolvedDependencies"]}
    weights = found["model.safetensors"]
    assert weights["uri"] == "pkg:huggingface/org/model@0123abc#model.safetensors"
    assert weights["digest"] == {"sha256": "2" * 64}
    assert "uri" not in found["lora-1/adapter_model.safetensors"]
    assert found["torch"]["uri"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert found["python"]["uri"] == "pkg:generic/python@3.11.7"
    uses = {name: found[name]["annotations"]["use"] for name in ("mine.txt", "asked.txt", "i.gguf")}
    assert list(uses.values()) == ["calibration text", "gate prompts", "imatrix"]
    assert run["builder"]["id"] == "pkg:pypi/tricast@0.1.0"
    (gate,) = run["byproducts"]
    assert gate["digest"] == {"sha256": "5" * 64}
    assert gate["annotations"]["gate"]["result"]["overall"]["mean_kld"] == 0.01


def test_a_checkpoint_on_disk_has_no_address(tmp_path):
    text = json.dumps(documents(tmp_path, versions={}))
    assert "huggingface" not in text
    assert '"id": "pkg:pypi/tricast"' in text


@pytest.mark.parametrize("licence", ["apache-2.0", "my-own-terms", None])
@pytest.mark.parametrize("label", ["tiny", HUB, "ännchen+polite"])
def test_the_bill_of_materials_is_of_the_official_schema(tmp_path, label, licence):
    source = source_record(label, licence=licence)
    bom = documents(finished_artifact(tmp_path / "a"), source=source)[BOM_NAME]
    assert not schema_faults(bom)
    licences = {"apache-2.0": {"id": "Apache-2.0"}, "my-own-terms": {"name": "my-own-terms"}}
    component = bom["metadata"]["component"]
    if licence is None:
        assert "licenses" not in component
    else:
        stated = {**licences[licence], "acknowledgement": "declared"}
        assert component["licenses"] == [{"license": stated}]


def test_the_schema_refuses_what_it_does_not_know(tmp_path):
    bom = documents(finished_artifact(tmp_path / "a"))[BOM_NAME]
    bom["metadata"]["component"]["modelCard"]["unheard"] = "of"
    assert schema_faults(bom)


def test_the_bill_of_materials_lists_parts_and_carries_a_model_card(tmp_path):
    bom = documents(finished_artifact(tmp_path / "a"))[BOM_NAME]
    artifact = bom["metadata"]["component"]
    assert [one["name"] for one in artifact["components"]] == [
        "model.gguf", "sub/config.json", MANIFEST_NAME,
    ]  # fmt: skip
    components = {one["bom-ref"]: one for one in bom["components"]}
    assert [one["name"] for one in components["source"]["components"]] == [
        "config.json", "model.safetensors",
    ]  # fmt: skip
    assert components["adapter-1"]["name"] == "polite"
    assert bom["dependencies"] == [{"ref": "artifact", "dependsOn": list(components)}]
    card = artifact["modelCard"]
    assert card == model_card.model_card(manifest_of(tmp_path / "a"))
    assert bom["$schema"] == SCHEMA
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    kld = {"type": "mean_kld", "value": "0.01", "slice": "all positions of the gate's prompts"}
    assert kld in metrics
    assert {"type": "weight_error", "value": "0.01"} in metrics
    properties = {one["name"]: one["value"] for one in card["properties"]}
    assert properties["tricast:tensors:q4_0"] == "1"
    assert properties["tricast:bytes:f32"] == "128"
    assert card["modelParameters"]["modelArchitecture"] == "llama"
    assert card["considerations"]["technicalLimitations"] == ["a note"]


def test_a_skipped_gate_is_the_first_limitation(tmp_path):
    bom = documents(tmp_path, gate={"status": "unverified"})[BOM_NAME]
    card = bom["metadata"]["component"]["modelCard"]
    assert "gate was skipped" in card["considerations"]["technicalLimitations"][0]
    assert not schema_faults(bom)


def test_what_follows_is_accepted_and_need_not_be_there(tmp_path):
    folder = finished_artifact(tmp_path / "a")
    manifest = manifest_of(folder)
    check_derived(folder, manifest)
    for name in (STATEMENT_NAME, BOM_NAME):
        (folder / name).unlink()
    check_derived(folder, manifest)
    write_derived(folder)
    check_derived(folder, manifest)


@pytest.mark.parametrize("name", [STATEMENT_NAME, BOM_NAME])
@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda text: text.replace("0.01", "0.0001"), "is 0.0001, not 0.01"),
        (lambda text: text + "\n", "another layout"),
        (lambda text: text[:-9], "no JSON"),
        (lambda text: "[" * 100_000, "no JSON"),
    ],
)
def test_a_document_that_says_otherwise_is_refused(tmp_path, name, forge, said):
    folder = finished_artifact(tmp_path / "a")
    (folder / name).write_text(forge((folder / name).read_text()))
    with pytest.raises(VerificationError, match="contradict each other") as caught:
        check_derived(folder, manifest_of(folder))
    assert said in caught.value.found
