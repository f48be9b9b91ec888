"""Where the parts of an artifact come from, as package URLs (purl) and hub commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from convert.manifest import Manifest

TOOL = "tricast"


@dataclass(frozen=True)
class HubCommit:
    """A checkpoint on the Hugging Face hub.

    Args:
        name: ``organisation/name``.
        commit: Its hash.
    """

    name: str
    commit: str

    def purl(self, file: str | None = None) -> str:
        """The package URL of the checkpoint, or of a file in it."""
        subpath = f"#{quote(file)}" if file else ""
        return f"pkg:huggingface/{quote(self.name)}@{quote(self.commit, safe='')}{subpath}"


def hub_commit(label: str) -> HubCommit | None:
    """Where a checkpoint was got from, by its label in a manifest; None for a folder or a file."""
    named, at, commit = label.rpartition("@")
    name, _, _adapters = named.partition("+")
    return HubCommit(name, commit) if at and name.count("/") == 1 else None


def adapter_number(path: str) -> int | None:
    """Which LoRA adapter, from 1 on, a file of a source belongs to; None for the checkpoint's."""
    folder, slash, _ = path.partition("/")
    number = folder.removeprefix("lora-")
    return int(number) if slash and number != folder and number.isdecimal() else None


def package_purl(name: str, version: str | None) -> str:
    """The package URL of a Python package, or of Python itself."""
    kind = "generic" if name == "python" else "pypi"
    suffix = "" if version is None else f"@{quote(version, safe='')}"
    return f"pkg:{kind}/{quote(name, safe='')}{suffix}"


def tool_version(manifest: Manifest) -> str | None:
    """The version of Tricast that made an artifact; None if it was not installed as a package."""
    return manifest.versions.get(TOOL)


@dataclass(frozen=True)
class OtherInput:
    """A file besides the checkpoint that decided about bytes or figures."""

    use: str
    name: str
    sha256: str


def other_inputs(manifest: Manifest) -> Iterator[OtherInput]:
    """Calibration text, imatrix and gate prompts, as far as the manifest knows them."""
    run = manifest.run
    weighted, calibration, calibrated = (
        manifest.weighting, manifest.calibration, manifest.calibrated
    )  # fmt: skip
    texts = {each.text_sha256 for each in (weighted, calibration, calibrated) if each is not None}
    if run is not None and run.calibrate_sha256 is not None:
        texts.add(run.calibrate_sha256)
    for digest in sorted(texts):
        own = run is not None and run.calibrate_sha256 == digest
        name = run.calibrate if run is not None and own else "shipped text"
        yield OtherInput("calibration text", name, digest)
    if manifest.imatrix is not None:
        yield OtherInput("imatrix", manifest.imatrix.file, manifest.imatrix.sha256)
    if run is not None and run.prompts is not None and run.prompts_sha256 is not None:
        yield OtherInput("gate prompts", run.prompts, run.prompts_sha256)
