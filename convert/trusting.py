"""Who made an artifact, of what, and how two differ: `sign`, `diff` and `run --frozen`.

`sign` and `diff` are of the Python API; the others carry out the commands of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.known_errors import catalogued

if TYPE_CHECKING:
    from convert.differences.comparison import Comparison
    from convert.manifest import Manifest
    from convert.progress import Reporter


@catalogued
def sign(
    artifact: str | Path,
    *,
    key: str | Path | None = None,
    certificate: str | Path | None = None,
    chain: Sequence[str | Path] = (),
) -> Manifest:
    """Check an artifact without running it, and write its signature into it; `convert sign`.

    Args:
        artifact: Its folder.
        key: Private key (PEM), its password in ``TRICAST_KEY_PASSWORD`` if it has one; None signs
            with an identity of Sigstore, online.
        certificate: That of the key, from an authority that verifiers trust.
        chain: Certificates between that and the authority.

    Returns:
        The manifest that is signed.

    Raises:
        OutputExistsError: It is signed already.
        VerificationError: It is not what its manifest says.
    """
    from convert.provenance.signing import Signer
    from convert.provenance.signing import sign as sign_artifact

    own = None if certificate is None else Path(certificate)
    signer = Signer(None if key is None else Path(key), own, tuple(map(Path, chain)))
    return sign_artifact(Path(artifact), signer)


@catalogued
def diff(first: str | Path, second: str | Path) -> Comparison:
    """Compare two artifacts, manifests, or files that `inspect` reads; `convert diff`.

    Raises:
        UnavailableSourceError: There is nothing at a path, or nothing that is known.
        BrokenInputError: One is damaged.
    """
    from convert.differences.comparison import compare

    return compare(Path(first), Path(second))


def sign_command(
    artifact: Path, *, key: Path | None, certificate: Path | None, chain: Sequence[Path]
) -> None:
    """Carry out `convert sign`."""
    from convert.manifest import SIGNATURE_NAME

    manifest = sign(artifact, key=key, certificate=certificate, chain=chain)
    if manifest.gate.status != "passed":
        print("note: the gate was skipped, and the signed manifest says so")
    print(artifact / SIGNATURE_NAME)


def diff_command(first: Path, second: Path, *, as_json: bool, show_all: bool) -> bool:
    """Carry out `convert diff`; whether anything differs."""
    from convert.differences import told

    found = diff(first, second)
    print(
        told.as_json(found)
        if as_json
        else told.as_text(found, shown=None if show_all else told.SHOWN)
    )
    return not found.is_same


def frozen_command(
    manifest: Path,
    model: str | None,
    *,
    out: str,
    threads: int,
    calibrate: str | None,
    imatrix: str | None,
    prompts: str | None,
    lora: Sequence[Path] | None,
    keep_failed: bool,
    restart: bool,
    memory: str | None,
    reporter: Reporter,
    gate: bool = True,
    tokenizer: bool = True,
    report: bool = False,
    **settled: Any,
) -> None:
    """Carry out `convert run --frozen`.

    Args:
        gate: The manifest settles it, as it does the tokenizer.
        report: No page is written about an artifact that is there already.
        settled: Other options that the manifest settles; none of them may be given.

    Raises:
        UsageError: One is.
        TricastError: See `convert.provenance.repeating.repeat`.
    """
    from convert.errors import UsageError
    from convert.provenance.frozen_inputs import Given
    from convert.provenance.repeating import Repetition, repeat
    from convert.sizes import parse_size

    contradicting = [name for name, value in settled.items() if value]
    kept = {"gate": gate, "tokenizer": tokenizer}
    contradicting += [f"no-{name}" for name, is_kept in kept.items() if not is_kept]
    if contradicting:
        raise UsageError(
            "--frozen takes everything from the manifest",
            found=", ".join(f"--{name.replace('_', '-')}" for name in contradicting),
            remedy="leave that out",
        )
    if "://" in out:
        raise UsageError("--frozen writes to a folder of this machine", found=f"--out {out}")
    given = Given(
        model,
        calibrate=None if calibrate is None else Path(calibrate),
        prompts=None if prompts is None else Path(prompts),
        imatrix=None if imatrix is None else Path(imatrix),
        lora=tuple(lora or ()),
    )
    budget = parse_size(memory) if memory else None
    asked = Repetition(manifest, Path(out), threads, given, keep_failed, restart, budget)
    print(repeat(asked, reporter))
