"""All that can be checked of an artifact without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.manifest import Manifest, check_files, read_manifest
from convert.provenance.claims import check_claims
from convert.provenance.derived import check_derived
from convert.provenance.signatures import Trust, check_signature, is_signed


@dataclass(frozen=True)
class Checked:
    """An artifact that is what it says.

    Args:
        manifest: What it says of itself.
        signed: Whether there is a signature.
        trusted: Whose signature it was found to be; None if that was not asked.
        unsigned: Files that were added since it was signed, see `check_signature`.
    """

    manifest: Manifest
    signed: bool
    trusted: Trust | None = None
    unsigned: tuple[str, ...] = ()

    def line(self) -> str:
        """What a user should know of the signature."""
        if not self.signed:
            return "signature: not signed"
        if self.trusted is None:
            return "signature: signed, not checked (`convert verify --key` says whose it is)"
        left = f", which does not cover {', '.join(self.unsigned)}" if self.unsigned else ""
        return f"signature: good, by {self.trusted}{left}"


def check_artifact(artifact: Path, trust: Trust | None = None) -> Checked:
    """Check an artifact's signature, files, documents and claims, without running it.

    This is what publishing calls: what it raises for must not be published. That the gate passed
    is ``checked.manifest.gate.status``. What goes along with the artifact is whatever is in its
    folder; `convert.manifest.COMPANIONS` names the files that its manifest does not list.

    Args:
        artifact: Its folder.
        trust: Whose signature it must have; None looks at no signature.

    Raises:
        SignatureError: It has not that signature.
        VerificationError: Files, manifest and the documents beside it contradict each other.
        BrokenInputError: There is no manifest, or it is damaged.
    """
    unsigned = () if trust is None else check_signature(artifact, trust)
    return Checked(check_contents(artifact), is_signed(artifact), trust, unsigned)


def check_contents(artifact: Path) -> Manifest:
    """Hold an artifact's files, documents and claims against its manifest.

    Raises:
        VerificationError: They contradict each other.
        BrokenInputError: There is no manifest, or it is damaged.
    """
    manifest = read_manifest(artifact)
    check_derived(artifact, manifest)
    check_claims(manifest)
    check_files(artifact, manifest)
    return manifest
