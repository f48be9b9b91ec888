"""Artifacts that go to object storage while they are made, and are seen there when they are done.

The run's folder stays what it is of any run; here it only stages what goes on. Beside each artifact
in the making lies a journal of its parts, ``.NAME.parts``. What stays of a published artifact is a
folder of its name with its manifest, by which a restarted run knows it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from convert.artifact import JOURNAL_NAME, PendingFolder, partial_folder
from convert.errors import OutputExistsError, TricastError
from convert.manifest import MANIFEST_NAME
from convert.outlets.base import Told
from convert.outlets.part_journal import PartJournal
from convert.outlets.storage import Storage
from convert.outlets.stubs import is_stub, keep_manifest
from convert.outlets.uploads import Uploads
from convert.progress import Reporter
from convert.reporting.data import data_path, page_path
from targets.base import Layout

_AT_ONCE = 16
"""Parts on their way, which is enough for most networks; each is read from its file as it goes."""


class ObjectOutlet:
    """See `convert.outlets.base.Outlet`; for one run.

    Args:
        storage: Where the artifacts go.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._uploads: dict[str, Uploads] = {}
        self._reporter = Reporter()

    @contextmanager
    def opened(
        self, out: Path, names: Sequence[str], reporter: Reporter, restart: bool
    ) -> Iterator[None]:
        """See `Outlet`.

        Raises:
            UnavailableDestinationError: There is no such place, or no right to write there.
        """
        self._reporter = reporter
        reporter.say(f"staging in {out}")
        self._storage.require_access()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload")
        for name in names:
            journal = PartJournal(out / f".{name}.parts")
            self._uploads[name] = Uploads(self._storage, journal, name, pool)
            if restart:
                self._discard(name)
            self._recognize(out, name)
        try:
            yield
        finally:
            pool.shutdown(cancel_futures=True)
            for name in names:
                self._leave(out, name)

    def require_absent(self, final: Path) -> None:
        """See `Outlet`; what an interrupted run was about to publish does not count."""
        there = set(self._storage.sizes(final.name))
        if f"{final.name}/{MANIFEST_NAME}" not in there:
            there -= self._uploads[final.name].journal.objects
        if there:
            raise OutputExistsError(
                f"{self.place(final)} already exists",
                expected="a new folder for each artifact; nothing is ever overwritten",
                found=f"{len(there)} objects, such as {min(there)}",
                remedy="remove it, or choose another --out",
            )

    def follow(self, folder: Path, layout: Layout) -> Told:
        """See `Outlet`."""
        uploads = self._uploads[_name_of(folder)]
        uploads.follow(folder, layout)
        return uploads.written

    def publish(self, folder: PendingFolder) -> Path:
        """See `Outlet`; of the artifact only its manifest stays here."""
        self.require_absent(folder.final)
        uploads = self._uploads[folder.final.name]
        with self._reporter.stage(f"upload to {self.place(folder.final)}"):
            nbytes = uploads.publish(folder.path)
        kept = f", {uploads.kept} were there already" if uploads.kept else ""
        self._reporter.say(f"  {nbytes:,} bytes; {uploads.sent} parts sent{kept}")
        keep_manifest(folder.path)
        final = folder.publish()
        uploads.journal.remove()
        return final

    def place(self, final: Path) -> str:
        """See `Outlet`."""
        return f"{self._storage.url}/{final.name}"

    def drop(self, folder: PendingFolder) -> None:
        """See `Outlet`."""
        self._discard(folder.final.name)

    def accompany(self, final: Path) -> None:
        """See `Outlet`. An artifact that is done is worth more than its page."""
        for path in (page_path(final), data_path(final)):
            try:
                if path.is_file():
                    self._storage.put(path.name, path)
            except TricastError as error:
                self._reporter.say(f"  {path.name} could not be uploaded: {error}")

    def _recognize(self, out: Path, name: str) -> None:
        """Settle what an interrupted run had published, which only the storage can tell."""
        final, partial = out / name, partial_folder(out, name)
        manifests = (final / MANIFEST_NAME, partial / "artifact" / MANIFEST_NAME)
        known, staged = (path.read_bytes() if path.is_file() else None for path in manifests)
        if known is None and staged is None:
            return
        there = self._storage.read(f"{name}/{MANIFEST_NAME}")
        if known is not None and known != there and is_stub(final):
            shutil.rmtree(final)  # it was removed there since, or another one was put there
        elif known is None and staged == there and self._uploads[name].journal.objects:
            final.mkdir()
            manifests[1].rename(manifests[0])
            self._uploads[name].journal.remove()

    def _leave(self, out: Path, name: str) -> None:
        """Keep the parts of what can be gone on with, and have the others removed."""
        journal = self._uploads[name].journal
        if journal.is_empty:
            return
        if (partial_folder(out, name) / JOURNAL_NAME).exists():
            self._reporter.say(
                f"the storage keeps the parts of {self.place(out / name)} that it has, for the "
                "same command to go on with; --restart removes them"
            )
        else:
            self._discard(name)

    def _discard(self, name: str) -> None:
        """Have the storage remove what it has of an artifact that is not published."""
        journal = self._uploads[name].journal
        try:
            for file, upload in journal.uploads.items():
                assert self._storage.parts is not None
                self._storage.parts.abort(file, upload.identifier)
            if journal.objects and self._storage.read(f"{name}/{MANIFEST_NAME}") is None:
                for file in journal.objects:
                    self._storage.remove(file)
        except TricastError as error:
            self._reporter.say(f"parts of {name} are left in the storage: {error}")
        journal.remove()


def _name_of(folder: Path) -> str:
    """Of an artifact, from the folder that it is made in; see `partial_folder`."""
    return folder.parent.name.removeprefix(".").removesuffix(".partial")
