"""The Python API of what is done with finished artifacts: publish, pull, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from convert.cores import ALL_CORES
from convert.known_errors import catalogued
from convert.progress import Reporter, Silent

if TYPE_CHECKING:
    from convert.manifest import Manifest
    from convert.publishing.commands import Publication


@catalogued
def publish(
    artifact: str | Path,
    repo: str,
    *,
    public: bool = False,
    force: bool = False,
    dry_run: bool = False,
    licence: str | None = None,
    base_model: str | None = None,
    languages: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Publication:
    """Publish a finished artifact with a model card; `convert publish`.

    Args:
        artifact: Its folder.
        repo: ``organisation/name`` on the Hugging Face hub, ``modelscope://organisation/name``, or
            ``oci://host/name:tag``.
        public: Let everybody see it; a registry decides about that itself.
        force: Publish what does not verify, or whose gate failed or was skipped; its card says so.
        dry_run: Only say what would go.
        licence: Of the original, if its own card does not say.
        base_model: The original on the hub.
        languages: Of the model, ISO 639-1 codes.
        reporter: Told of each step.

    Raises:
        VerificationError: The files are not what the manifest says.
        GateError: The gate failed or was skipped.
        UnavailableDestinationError: The destination refuses, or cannot be reached.
    """
    from convert.publishing import commands

    return commands.publish(
        Path(artifact), repo, public=public, force=force, dry_run=dry_run, licence=licence,
        base_model=base_model, languages=languages, reporter=reporter or Silent(),
    )  # fmt: skip


@catalogued
def pull(repo: str, out: str | Path, *, reporter: Reporter | None = None) -> Manifest:
    """Fetch a published artifact, and check it against its manifest; `convert pull`.

    Args:
        repo: As for `publish`.
        out: A new folder for it.

    Raises:
        VerificationError: What came is not what the manifest says; nothing is left of it.
    """
    from convert.publishing import commands

    return commands.pull(repo, Path(out), reporter=reporter or Silent())


@catalogued
def report(
    artifact: str | Path,
    *,
    out: str | Path | None = None,
    gate: bool = False,
    golden: str | Path | None = None,
    threads: int = ALL_CORES,
    reporter: Reporter | None = None,
) -> Path:
    """Write a page about an artifact, one file for any browser; `convert report`.

    Args:
        artifact: Its folder.
        out: The page; None writes ``DIR.report.html`` beside it.
        gate: Run the artifact again, for figures by position.
        golden: The recording to compare with then; None takes the one beside the artifact.

    Returns:
        The page.
    """
    from convert.reporting.making import make_page

    return make_page(
        Path(artifact), out=None if out is None else Path(out), gate=gate or golden is not None,
        golden=None if golden is None else Path(golden), threads=threads,
        reporter=reporter or Silent(),
    )  # fmt: skip
