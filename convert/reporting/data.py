"""What a page shows beyond the manifest, kept beside it as JSON: details of the gate, and times.

None of it is a part of the artifact: it holds times, which differ from run to run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt, ValidationError

from convert.errors import BrokenInputError
from convert.hashing import FileRecord
from convert.manifest import Manifest
from golden.details import Details

PAGE_SUFFIX, DATA_SUFFIX = ".report.html", ".report.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class TensorData(_Strict):
    """One parameter: its type and bytes in the checkpoint, and how far its stored values are from
    the original's (RMS of the difference over RMS of the original), if that was found.
    """

    source: str
    source_bytes: NonNegativeInt
    error: float | None = None


class TransferData(_Strict):
    """Bytes over time: pairs of seconds and bytes, rising."""

    title: str
    total: NonNegativeInt
    points: tuple[tuple[NonNegativeFloat, NonNegativeInt], ...]


class MachineData(_Strict):
    """Where it ran; no name by which the machine could be found."""

    cpu: str
    cores: NonNegativeInt
    memory: NonNegativeInt
    system: str


class RooflineData(_Strict):
    """What this machine allows of one token after another, batch 1, by `convert.prediction`: the
    milliseconds that nothing can beat, those of a good runtime, the context in tokens, and the
    bytes a second that memory gives.
    """

    bound_ms: NonNegativeFloat
    expected_ms: NonNegativeFloat
    context: NonNegativeInt
    bandwidth: NonNegativeFloat


class ReportData(_Strict):
    """What is known of one artifact beside its manifest.

    ``files_sha256`` ties both together. ``failures`` are sentences; there are some only if the
    artifact was refused. ``peak_memory`` is that of the conversion, in bytes.
    """

    version: Literal[1] = 1
    artifact: str
    files_sha256: str
    failures: tuple[str, ...] = ()
    details: Details | None = None
    tensors: dict[str, TensorData] = {}
    stages: tuple[tuple[str, NonNegativeFloat], ...] = ()
    transfers: tuple[TransferData, ...] = ()
    seconds: NonNegativeFloat | None = None
    peak_memory: NonNegativeInt | None = None
    machine: MachineData | None = None
    roofline: RooflineData | None = None

    def belongs_to(self, manifest: Manifest) -> bool:
        """Whether this was found of the artifact with this manifest."""
        return self.files_sha256 == files_digest(manifest.files)


def page_path(artifact: Path) -> Path:
    """Where the page of the artifact in a folder lies: beside it."""
    return artifact.with_name(artifact.name + PAGE_SUFFIX)


def data_path(artifact: Path) -> Path:
    """Where the data of that page lie."""
    return artifact.with_name(artifact.name + DATA_SUFFIX)


def files_digest(files: Iterable[FileRecord]) -> str:
    """One SHA-256 over what a manifest says of the files."""
    lines = [f"{file.sha256} {file.size} {file.path}\n" for file in files]
    return hashlib.sha256("".join(sorted(lines)).encode("utf-8", "backslashreplace")).hexdigest()


def write_data(path: Path, data: ReportData) -> None:
    """Write a page's data; the file appears when it is whole."""
    write_whole(path, data.model_dump_json(exclude_defaults=True) + "\n")


def read_data(path: Path) -> ReportData | None:
    """The data of a page; None if there are none.

    Raises:
        BrokenInputError: The file holds something else.
    """
    if not path.is_file():
        return None
    try:
        return ReportData.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise BrokenInputError(
            f"{path.name} does not hold the data of a report",
            found=str(error),
            remedy="remove it; the report is then made of the manifest alone",
        ) from error


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears, or takes another's place, when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
