"""The manifest of an artifact: what it was made of, how, how good it is, and every file's hash."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from convert.errors import BrokenInputError, MissingFileError, VerificationError
from convert.hashing import FileRecord, WrittenFile, hash_file
from convert.recipe import Artifact

MANIFEST_NAME = "manifest.json"

STATEMENT_NAME, BOM_NAME, SIGNATURE_NAME = "provenance.intoto.json", "bom.cdx.json", "model.sig"
"""Beside the manifest: what follows from it (`convert.provenance.derived`), and a signature."""

PAPERS = ("README.md", "report.html")
"""Read by people and by no runtime, and so free to be added to a finished artifact."""

COMPANIONS = frozenset({MANIFEST_NAME, STATEMENT_NAME, BOM_NAME, SIGNATURE_NAME, *PAPERS})
"""Files of an artifact that its manifest does not list, unless they were there before it."""

STORES = (".git", ".gitattributes", ".cache/huggingface")
"""Files and folders that hubs and their programs put into a copy of an artifact; no runtime reads
them.
"""

SCHEMA_PATH = Path(__file__).with_name("manifest.schema.json")
"""JSON Schema of a manifest, for other programs; equal to ``Manifest.model_json_schema()``."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceRecord(_Strict):
    """The checkpoint: its name, the digest over all its files, and each file; what config.json
    calls its architecture, and the licence that its model card states, as the hub writes it.
    """

    label: str
    digest: str
    files: tuple[FileRecord, ...]
    architecture: str | None = None
    licence: str | None = None


class RunRecord(_Strict):
    """What a run was told beyond its recipe's entry for the artifact, so that it can be repeated.

    Of files the name and the SHA-256 are kept, never the place. ``asked`` is the entry of a mix as
    it was before encodings were chosen; the imatrix is recorded in `Manifest.imatrix`, and the
    files of LoRA adapters among those of the source.
    """

    tokenizer: bool
    strict: bool
    calibrate: str
    calibrate_sha256: str | None = None
    calibration_tokens: int | None = None
    prompts: str | None = None
    prompts_sha256: str | None = None
    lora: tuple[str, ...] = ()
    asked: Artifact | None = None


class TensorRecord(_Strict):
    """How one parameter is stored; ``fallback`` says why not as asked."""

    name: str
    shape: tuple[int, ...]
    role: str
    encoding: str
    bytes: int
    fallback: str | None = None


class CalibrationRecord(_Strict):
    """The text whose activations decided about figures of the artifact, and its tokens."""

    text_sha256: str
    tokens: int


class ExpertCoverage(_Strict):
    """How well a text covers the experts of a model: how many there are, and how many tokens those
    have seen that have seen fewer than the threshold.
    """

    experts: int
    threshold: int
    few: dict[str, int]

    def line(self) -> str | None:
        """What a user should know."""
        if not self.few:
            return None
        names = list(self.few)
        shown = ", ".join(f"{name} ({self.few[name]})" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return (
            f"{len(names)} of {self.experts} experts saw fewer than {self.threshold} tokens:"
            f" {shown}{more}"
        )


class WeightingRecord(_Strict):
    """The text whose activations decided how scales were chosen, its tokens, and the SHA-256 of
    the second moments that they have in front of each linear layer; of a mixture of experts, how
    well the text covers them.
    """

    text_sha256: str
    tokens: int
    moments_sha256: str
    experts: ExpertCoverage | None = None


class ImatrixRecord(_Strict):
    """The llama.cpp imatrix by which scales were chosen: name and SHA-256 of the file, the tokens
    that its sums are over, and what it calls its texts.
    """

    file: str
    sha256: str
    tokens: int
    datasets: tuple[str, ...] = ()


class CalibratedRecord(_Strict):
    """How the codes of linear layers were found: the method, its text and the text's tokens."""

    method: str
    text_sha256: str
    tokens: int


class MixRecord(_Strict):
    """How a mix of encodings was chosen by measurement.

    ``bits`` are those a weight of the whole model, ``kld`` the mean KL divergence in nats with all
    weights stored so, on ``tokens`` tokens of the calibration text, ``predicted`` the sum of what
    each weight alone costs, and ``costs`` that, by weight.
    """

    bits: float
    kld: float
    predicted: float
    tokens: int
    costs: dict[str, float]


class GateRecord(_Strict):
    """The outcome of the gate; *unverified* means that it was skipped on request.

    ``golden`` is the file name of the recording, ``result`` what `golden.compare` found,
    ``worst_tensor`` the stored tensor that differs most and ``weight_error`` by how much (RMS of
    the difference over RMS of the original).
    """

    status: Literal["passed", "unverified"]
    golden: str | None = None
    golden_sha256: str | None = None
    result: dict[str, Any] | None = None
    worst_tensor: str | None = None
    weight_error: float | None = None


class Manifest(_Strict):
    """Everything that `convert verify` re-checks."""

    version: Literal[1] = 1
    artifact: str
    target: str
    recipe: Artifact
    source: SourceRecord
    run: RunRecord | None = None
    versions: dict[str, str]
    calibration: CalibrationRecord | None = None
    weighting: WeightingRecord | None = None
    imatrix: ImatrixRecord | None = None
    calibrated: CalibratedRecord | None = None
    mix: MixRecord | None = None
    gate: GateRecord
    notes: tuple[str, ...]
    tensors: tuple[TensorRecord, ...]
    files: tuple[FileRecord, ...]


def record_files(
    folder: Path, written: Mapping[str, WrittenFile] | None = None
) -> tuple[FileRecord, ...]:
    """Record every file of an artifact but its manifest and what follows from it, sorted by path.

    Args:
        written: Files that were hashed already; those that changed since are hashed again.
    """
    records = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        known = (written or {}).get(name)
        if known is not None and known.is_unchanged(path):
            records.append(known.record)
        elif name in PAPERS or name not in COMPANIONS:
            records.append(hash_file(folder, path))
    return tuple(records)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` into the artifact's folder; equal manifests give equal bytes."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read an artifact's manifest.

    Raises:
        MissingFileError: The folder has none.
        BrokenInputError: It is not JSON or not of the schema.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        below = sorted(str(each.parent) for each in folder.glob(f"*/{MANIFEST_NAME}"))
        raise MissingFileError(
            f"{folder} has no {MANIFEST_NAME}"
            if folder.is_dir()
            else f"there is no folder {folder}",
            expected=f"the folder of an artifact made by `convert run`, with a {MANIFEST_NAME}",
            remedy=f"name the artifact: {', '.join(below[:8])}" if below else None,
        )
    return parse_manifest(path)


def parse_manifest(path: Path) -> Manifest:
    """Read a manifest, wherever it is and whatever it is called.

    Raises:
        BrokenInputError: It is not JSON or not of the schema.
    """
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BrokenInputError(f"{path} is not a manifest", found=str(error)) from error


def present_files(folder: Path, *, besides: Container[str] = ()) -> dict[str, Path]:
    """What is in an artifact's folder but folders, by path below it, without what accompanies it.

    Args:
        besides: Companions that count nevertheless.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path
        for name, path in paths.items()
        if (name in besides or not (name in COMPANIONS or _is_of_a_store(name)))
        and (path.is_symlink() or not path.is_dir())
    }


def _is_of_a_store(name: str) -> bool:
    return any(name == store or name.startswith(f"{store}/") for store in STORES)


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare the artifact's files with its manifest.

    Raises:
        VerificationError: A file is missing, was added, or differs; all are named.
    """
    recorded = {record.path: record for record in manifest.files}
    present = present_files(folder, besides=recorded)
    faults = [f"{name} is missing" for name in sorted(recorded.keys() - present.keys())]
    faults += [f"{name} was added" for name in sorted(present.keys() - recorded.keys())]
    for name in sorted(recorded.keys() & present.keys()):
        if not present[name].is_file():
            faults.append(f"{name} is no file")
        elif hash_file(folder, present[name]) != recorded[name]:
            faults.append(f"{name} differs")
    if faults:
        raise VerificationError(
            f"{folder} is not what its manifest says",
            expected=f"{len(recorded)} files with the recorded SHA-256",
            found="; ".join(faults),
            remedy="convert again, or get an undamaged copy",
        )
