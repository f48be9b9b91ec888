"""The files of one artifact on their way to object storage, while they are being written.

A part is sent as soon as every byte of it is in place, straight from the file: what is in memory is
what a connection holds. The writers never wait for the storage, since the artifact lies here whole
in any case until the gate has run it. Nothing is visible there before `publish`.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future, wait
from pathlib import Path
from threading import Lock

from convert.errors import UnavailableDestinationError
from convert.following import filled
from convert.manifest import MANIFEST_NAME
from convert.outlets.part_journal import Begun, PartJournal, Sent
from convert.outlets.parts import FilePart, Parts, part_bytes
from convert.outlets.s3 import md5_of
from convert.outlets.s3_errors import AGAIN
from convert.outlets.storage import Listed, PartStorage, Storage
from convert.runs import Runs
from targets.base import Layout

_SECONDS_BETWEEN_SIGNALS = 1.0


class Uploads:
    """The uploads of an artifact.

    Args:
        storage: Where it goes.
        journal: Of what is there already.
        name: Of the artifact.
        pool: Whose threads send.
    """

    def __init__(self, storage: Storage, journal: PartJournal, name: str, pool: Executor) -> None:
        self.journal = journal
        self._storage = storage
        self._name = name
        self._pool = pool
        self._lock = Lock()
        self._files: dict[str, _FileUpload] = {}
        self._tasks: list[Future[None]] = []
        self._error: BaseException | None = None
        self.sent = self.kept = 0

    def follow(self, folder: Path, layout: Layout) -> None:
        """Send the large files of a layout as they come into being."""
        for file in layout.files:
            if self._goes_by_parts(file.size):
                self._submit(
                    file.path,
                    self._begin(folder, file.path, file.size).parts.fill_all(
                        filled(file, layout.jobs)
                    ),
                )

    def written(self, file: str, offset: int, size: int, runs: Runs | None) -> None:
        """Take in that bytes are in place.

        Raises:
            Exception: What has gone wrong with any part.
        """
        if self._error is not None:
            raise self._error
        upload = self._files.get(file)
        if upload is not None:
            with self._lock:
                parts = upload.parts
                whole = parts.fill(offset, size) if runs is None else parts.fill_in_runs(size, runs)
            self._submit(file, whole)

    def publish(self, folder: Path) -> int:
        """Send what is left and make everything visible, the manifest last; the bytes of it all.

        Raises:
            TricastError: The storage did not take something; what it took is in the journal.
        """
        sizes = {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        for file, size in sizes.items():
            if file not in self._files and self._goes_by_parts(size):
                self._submit(file, self._begin(folder, file, size).parts.fill(0, size))
        self._wait()
        self.journal.publish(f"{self._name}/{file}" for file in sizes)
        for file, upload in self._files.items():
            assert upload.parts.are_whole, f"nobody was told of all bytes of {file}"
            upload.complete()
        for file in sorted(sizes.keys() - self._files, key=lambda file: file == MANIFEST_NAME):
            self._storage.put(f"{self._name}/{file}", folder / file)
        return sum(sizes.values())

    def _goes_by_parts(self, size: int) -> bool:
        return self._storage.parts is not None and size > part_bytes(size)

    def _begin(self, folder: Path, file: str, size: int) -> _FileUpload:
        assert self._storage.parts is not None
        upload = _FileUpload(
            self._storage.parts, self.journal, f"{self._name}/{file}", folder / file, size
        )
        self._files[file] = upload
        return upload

    def _submit(self, file: str, numbers: list[int]) -> None:
        for number in numbers:
            self._tasks.append(self._pool.submit(self._send, self._files[file], number))

    def _send(self, upload: _FileUpload, number: int) -> None:
        if self._error is not None:
            return
        try:
            sent = upload.send(number)
        except BaseException as error:
            self._error = self._error or error
            return
        with self._lock:
            self.sent += sent
            self.kept += not sent

    def _wait(self) -> None:
        # A signal that comes just before a wait is seen only after it.
        while wait(self._tasks, timeout=_SECONDS_BETWEEN_SIGNALS).not_done:
            pass
        if self._error is not None:
            raise self._error


class _FileUpload:
    """One file on its way, by parts."""

    def __init__(
        self, storage: PartStorage, journal: PartJournal, name: str, path: Path, size: int
    ) -> None:
        self.parts = Parts(size)
        self._storage, self._journal = storage, journal
        self._name, self._path = name, path
        self._lock = Lock()
        self._begun: Begun | None = None
        self._there: Mapping[int, Listed] = {}
        self._is_complete = False

    def send(self, number: int) -> bool:
        """Send a part, unless the storage has it; whether it was sent.

        Raises:
            TricastError: The storage did not take it.
        """
        begun = self._upload()
        start, stop = self.parts.bounds(number)
        with FilePart(self._path, start, stop) as body:
            if self._has(number, stop - start, md5_of(body).hex()):
                return False
            if self._is_complete:
                raise _other_bytes(self._name)
            sent = self._storage.send(self._name, begun.identifier, number, body)
        self._journal.record(self._name, number, sent)
        return True

    def _has(self, number: int, size: int, md5: str) -> bool:
        """Whether the storage has a part, by the journal and by what it lists itself."""
        known = self._journal.sent(self._name).get(number)
        if known is None or known.md5 != md5:
            return False
        return self._is_complete or self._there.get(number) == Listed(size, known.etag)

    def complete(self) -> None:
        """Make the object, unless that was done."""
        if not self._is_complete:
            self._storage.complete(
                self._name, self._upload().identifier, self._all_sent(), self.parts.size
            )
            self._is_complete = True

    def _upload(self) -> Begun:
        """The upload that the journal knows, if the storage still does, or a new one."""
        with self._lock:
            if self._begun is not None:
                return self._begun
            size, part = self.parts.size, self.parts.part
            known = self._journal.uploads.get(self._name)
            there = None
            if known is not None and (known.size, known.part) == (size, part):
                there = self._storage.listed(self._name, known.identifier)
                self._is_complete = there is None and self._was_completed()
            elif known is not None:
                self._storage.abort(self._name, known.identifier)
            if known is None or (there is None and not self._is_complete):
                known = Begun(size, part, self._storage.begin(self._name))
                self._journal.begin(self._name, known)
            self._begun, self._there = known, there or {}
            return known

    def _was_completed(self) -> bool:
        """Whether an earlier run made the object, and had no time to note it."""
        sent = self._journal.sent(self._name)
        if self._name not in self._journal.objects or len(sent) != len(self.parts):
            return False
        return self._storage.is_made_of(self._name, self._all_sent())

    def _all_sent(self) -> list[Sent]:
        sent = self._journal.sent(self._name)
        return [sent[number] for number in range(len(self.parts))]


def _other_bytes(name: str) -> UnavailableDestinationError:
    return UnavailableDestinationError(
        f"{name} is in the storage already, made of other bytes than are here now",
        expected="what the interrupted run made",
        remedy=f"{AGAIN}, or begin anew with --restart",
    )
