"""Whether an artifact may be published: its files are what its manifest says, its gate passed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.errors import BrokenInputError, GateError, UsageError, VerificationError
from convert.manifest import MANIFEST_NAME, Manifest, read_manifest
from convert.progress import Reporter


@dataclass(frozen=True)
class Standing:
    """What speaks against publishing an artifact; nothing, as a rule.

    Args:
        differs: What is wrong with its files, if they are not those of the manifest.
        gate: What is wrong with its gate.
    """

    differs: str | None = None
    gate: str | None = None

    @property
    def objections(self) -> tuple[str, ...]:
        """Each in a sentence."""
        return tuple(text for text in (self.differs, self.gate) if text)


def admit(artifact: Path, *, force: bool, reporter: Reporter) -> tuple[Manifest, Standing]:
    """Check an artifact before it goes anywhere.

    Args:
        artifact: Its folder.
        force: Publish in spite of objections; they are returned, for the card to say.
        reporter: Told of the check.

    Raises:
        UsageError: The folder holds artifacts instead of being one.
        MissingFileError: It has no manifest.
        BrokenInputError: Its manifest cannot be read.
        VerificationError: Its files are not what the manifest says.
        GateError: Its gate failed or was skipped.
    """
    _require_artifact(artifact)
    manifest = read_manifest(artifact)
    differs = _difference(artifact, reporter)
    fault = gate_fault(manifest)
    if differs is not None and not force:
        raise differs
    if fault is not None and not force:
        raise GateError(
            f"{artifact} is not published: {fault}",
            expected="an artifact whose gate passed",
            remedy="convert it with its gate, or give --force; the model card then says so",
        )
    wrong = None if differs is None else f"it is not what its manifest says: {differs.found}"
    return manifest, Standing(wrong, fault)


def gate_fault(manifest: Manifest) -> str | None:
    """Why the gate of an artifact counts for nothing: skipped, or with figures that did not pass,
    whatever its status says.
    """
    from convert.provenance.claims import check_claims

    if manifest.gate.status != "passed":
        return "its gate was skipped, so nobody has compared it with the original"
    try:
        check_claims(manifest)
    except VerificationError as error:
        return f"its gate did not pass: {error.found}"
    return None


def _difference(artifact: Path, reporter: Reporter) -> VerificationError | None:
    from convert.provenance.checking import check_artifact

    try:
        with reporter.stage("check the files"):
            reporter.say(f"  {check_artifact(artifact).line()}")
    except VerificationError as error:
        return error
    return None


def _require_artifact(artifact: Path) -> None:
    if not artifact.is_dir():
        raise UsageError(
            f"{artifact} is not a folder", expected="the folder of an artifact of `convert run`"
        )
    within = sorted(path.parent.name for path in artifact.glob(f"*/{MANIFEST_NAME}"))
    if within and not (artifact / MANIFEST_NAME).is_file():
        raise UsageError(
            f"{artifact} holds {len(within)} artifacts",
            expected="the folder of one: a repository has one manifest and one model card",
            remedy=f"publish each to a place of its own, such as {artifact / within[0]}",
        )
    if (artifact / MANIFEST_NAME).is_symlink():
        raise BrokenInputError(f"{artifact / MANIFEST_NAME} is a link, not a manifest")
