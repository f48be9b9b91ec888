"""What the command line shows of a publication."""

from __future__ import annotations

from collections.abc import Iterator

from convert.publishing.commands import Publication
from convert.publishing.destination import OciReference


def lines(publication: Publication, *, public: bool) -> Iterator[str]:
    """Of a dry run every file and the card; of a publication where it is."""
    total = f"{publication.nbytes:,} bytes in {len(publication.items)} files"
    if publication.url is not None:
        yield f"{publication.place}: {total}"
        yield publication.url
        return
    seen = "public" if public else "private"
    if isinstance(publication.place, OciReference):
        seen = "seen by whom the registry lets in"
    yield f"would publish to {publication.place} ({seen}): {total}"
    width = max(len(f"{item.size:,}") for item in publication.items)
    for item in publication.items:
        yield f"  {item.size:>{width},}  {item.path}"
    for warning in publication.warnings:
        yield f"warning: {warning}"
    yield ""
    yield publication.card
