"""`convert publish` and `convert pull`: what each does, once its options are known."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from convert.errors import UsageError
from convert.manifest import Manifest
from convert.progress import Reporter
from convert.publishing.card import CardFacts, model_card
from convert.publishing.contents import CARD_NAME, Item, items_of
from convert.publishing.destination import (
    HubRepository,
    ModelScopeRepository,
    OciReference,
    Place,
    parse_place,
)
from convert.publishing.patience import Patience
from convert.publishing.redaction import Redactor, clean_logs
from convert.publishing.sources import PublishedArtifact
from convert.publishing.standing import Standing, admit, gate_fault
from convert.publishing.terms import terms_of

_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_LANGUAGE = re.compile(r"[a-z]{2,3}|multilingual|code")
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Publication:
    """What goes, or went, to a place.

    Args:
        place: The destination.
        items: Every file, the model card last.
        card: Its text.
        warnings: What the publisher should know.
        url: Where it is now; None after a dry run.
    """

    place: Place
    items: tuple[Item, ...]
    card: str
    warnings: tuple[str, ...]
    url: str | None = None

    @property
    def nbytes(self) -> int:
        """Of all files."""
        return sum(item.size for item in self.items)


def publish(
    artifact: Path,
    repo: str,
    *,
    public: bool = False,
    force: bool = False,
    dry_run: bool = False,
    licence: str | None = None,
    base_model: str | None = None,
    languages: Sequence[str] = (),
    reporter: Reporter | None = None,
    patience: Patience | None = None,
) -> Publication:
    """Publish a finished artifact with a model card.

    Args:
        artifact: Its folder.
        repo: ``organisation/name`` on the Hugging Face hub, ``modelscope://organisation/name``, or
            ``oci://host/name:tag``.
        public: Let everybody see it; a registry decides about that itself.
        force: Publish what does not verify, or whose gate failed or was skipped; its card says so.
        dry_run: Only say what would go.
        licence: Of the original, if its model card does not say or says it wrong.
        base_model: The original on the hub, ``organisation/name``.
        languages: Of the model, ISO 639-1 codes.
        reporter: Told of each step.
        patience: With servers that are busy.

    Raises:
        UsageError: The command contradicts itself, or the destination holds other things.
        VerificationError: The files are not what the manifest says.
        GateError: The gate failed or was skipped.
        UnavailableDestinationError: The destination refuses, or cannot be reached.
    """
    reporter = reporter or Reporter()
    place = _destination(repo)
    manifest, standing = admit(artifact, force=force, reporter=reporter)
    facts = _facts(manifest, place, standing, licence, base_model, languages)
    card = _card(manifest, facts)
    items = items_of(artifact, manifest, trusted=standing.differs is None)
    items = (*items, Item.of_bytes(CARD_NAME, card.encode()))
    warnings = [f"published by force: {text}" for text in standing.objections]
    if facts.terms.concern is not None:
        warnings.append(f"licence {facts.terms.name}: {facts.terms.concern}")
    publication = Publication(place, items, card, tuple(warnings))
    if dry_run:
        return publication
    for warning in warnings:
        reporter.say(f"warning: {warning}")
    redactor = Redactor()
    with clean_logs(redactor):
        url = _send(
            publication, manifest, facts, redactor, patience or Patience(), reporter, public=public
        )
    return Publication(place, items, card, tuple(warnings), redactor.clean(url))


def pull(
    repo: str,
    out: Path,
    *,
    reporter: Reporter | None = None,
    patience: Patience | None = None,
) -> Manifest:
    """Fetch a published artifact into a new folder, and check it against its manifest.

    Args:
        repo: As for `publish`; a hub's name may end in ``@REVISION``, a registry's in a digest.
        out: The folder.
        reporter: Told of each step.
        patience: With servers that are busy.

    Raises:
        TricastError: See `convert.publishing.pulling.pull`.
    """
    from convert.publishing import pulling

    reporter, redactor = reporter or Reporter(), Redactor()
    place = parse_place(repo)
    with clean_logs(redactor):
        source = _source(place, redactor, patience or Patience())
        manifest = pulling.pull(source, str(place), out, reporter)
    if fault := gate_fault(manifest):
        reporter.say(f"warning: do not rely on it: {fault}")
    return manifest


def _destination(repo: str) -> Place:
    place = parse_place(repo)
    fixed = place.digest if isinstance(place, OciReference) else place.revision
    if fixed is not None:
        raise UsageError(
            f"{place} names something that is already there",
            expected="a repository or a tag, without a revision or digest",
        )
    return place


def _facts(
    manifest: Manifest,
    place: Place,
    standing: Standing,
    licence: str | None,
    base_model: str | None,
    languages: Sequence[str],
) -> CardFacts:
    label = manifest.source.label.partition("@")[0].partition("+")[0]
    base = base_model or (label if _HUB_ID.fullmatch(label) else None)
    if base is not None and not _HUB_ID.fullmatch(base):
        raise UsageError(f"cannot read --base-model {base!r}", expected="ORGANISATION/NAME")
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise UsageError(
                f"cannot read --language {language!r}", expected="an ISO 639 code, as en"
            )
    folder = _UNSAFE_IN_NAMES.sub("-", manifest.artifact).strip("-.") or "artifact"
    return CardFacts(
        title=f"{label.rpartition('/')[2]} as {manifest.artifact}",
        folder=folder,
        fetch=f"convert pull {place} {folder}",
        terms=terms_of(licence or manifest.source.licence),
        base_model=base,
        languages=languages,
        standing=standing,
    )


def _card(manifest: Manifest, facts: CardFacts) -> str:
    from targets import target

    return model_card(manifest, facts, target(manifest.target))


def _send(
    publication: Publication,
    manifest: Manifest,
    facts: CardFacts,
    redactor: Redactor,
    patience: Patience,
    reporter: Reporter,
    *,
    public: bool,
) -> str:
    place, items = publication.place, publication.items
    title, message = f"publish to {place}", f"{manifest.artifact}, converted by Tricast"
    if isinstance(place, HubRepository):
        from convert.publishing.hub import HubPublisher

        with reporter.stage(title):
            publisher = HubPublisher(place.name, redactor, patience)
            return publisher.publish(items, public=public, message=message)
    with reporter.transfer(title, publication.nbytes) as advance:
        if isinstance(place, ModelScopeRepository):
            from convert.publishing.modelscope import ModelScopePublisher

            scope = ModelScopePublisher(place.name, redactor, patience)
            return scope.publish(items, public=public, message=message, advance=advance)
        from convert.publishing.oci import OciPublisher

        registry = OciPublisher(place, redactor, patience)
        return registry.publish(items, manifest, facts.terms.name, advance)


def _source(place: Place, redactor: Redactor, patience: Patience) -> PublishedArtifact:
    if isinstance(place, HubRepository):
        from convert.publishing.hub_source import HubSource

        return HubSource(place, redactor)
    if isinstance(place, ModelScopeRepository):
        from convert.publishing.modelscope import ModelScopeSource

        return ModelScopeSource(place, redactor)
    from convert.publishing.oci_source import OciSource

    return OciSource(place, redactor, patience)
