"""An artifact that is published to a repository of the Hugging Face hub when it has passed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from convert.artifact import PendingFolder
from convert.errors import OutputExistsError, TricastError, UsageError
from convert.outlets.base import Told, nobody_follows
from convert.outlets.stubs import is_stub, keep_manifest
from convert.progress import Reporter
from convert.publishing.destination import HubRepository, parse_place
from targets.base import Layout


class HubOutlet:
    """See `convert.outlets.base.Outlet`.

    Args:
        url: ``hf://organisation/name``.

    Raises:
        UsageError: It names no repository, or one at a revision.
    """

    def __init__(self, url: str) -> None:
        place = parse_place(url)
        if not isinstance(place, HubRepository) or place.revision is not None:
            raise UsageError(f"cannot write to {url}", expected="hf://ORGANISATION/NAME")
        self._place = place
        self._reporter = Reporter()

    @contextmanager
    def opened(
        self, out: Path, names: Sequence[str], reporter: Reporter, restart: bool
    ) -> Iterator[None]:
        """See `Outlet`.

        Raises:
            UsageError: There are several artifacts: a repository has one manifest and one card.
            UnavailableDestinationError: There is no token.
        """
        from convert.publishing.hub import HubPublisher
        from convert.publishing.patience import Patience
        from convert.publishing.redaction import Redactor

        if len(names) != 1:
            raise UsageError(
                f"{self._place} takes one artifact, not {', '.join(names)}",
                expected="one --to for a repository of the hub",
                remedy="convert to a folder, then `convert publish` each to a repository",
            )
        HubPublisher(self._place.name, Redactor(), Patience())
        if is_stub(out / names[0]):
            shutil.rmtree(
                out / names[0]
            )  # published earlier; a repository may be published to anew
        self._reporter = reporter
        reporter.say(f"staging in {out}")
        yield

    def require_absent(self, final: Path) -> None:
        """See `Outlet`; publishing decides what a repository may hold."""
        if final.exists():
            raise OutputExistsError(
                f"{final} already exists, finished and not published",
                remedy=f"`convert publish {final} {self._place}`, or remove it",
            )

    def follow(self, folder: Path, layout: Layout) -> Told:
        """Nothing goes before the gate has passed."""
        return nobody_follows(folder, layout)

    def publish(self, folder: PendingFolder) -> Path:
        """See `Outlet`; of the artifact only its manifest stays here.

        Raises:
            TricastError: The hub did not take it; it stays here, whole.
        """
        from convert.publishing.commands import publish

        final = folder.publish()
        try:
            done = publish(final, str(self._place), reporter=self._reporter)
        except TricastError as error:
            raise type(error)(
                error.what,
                expected=error.expected,
                found=error.found,
                remedy=f"the artifact is finished; `convert publish {final} {self._place}` "
                f"sends it ({error.remedy})",
            ) from error
        self._reporter.say(f"  {done.url}")
        keep_manifest(final)
        return final

    def place(self, final: Path) -> str:
        """See `Outlet`."""
        return str(self._place)

    def drop(self, folder: PendingFolder) -> None:
        """Nothing has gone."""

    def accompany(self, final: Path) -> None:
        """A model card goes to the hub, no page."""
