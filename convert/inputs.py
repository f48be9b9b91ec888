"""The files of a checkpoint: what they hash to, and that they stay what they were."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from convert.checkpoint import Checkpoint
from convert.errors import ChangedInputError
from convert.hashing import FileRecord, combined_digest, in_background
from convert.known_hashes import KnownHashes
from convert.licences import stated_licence
from convert.manifest import SourceRecord

FILES_AT_ONCE = 4
"""Of those in object storage, which answers one request slowly and many as fast as the network."""

States = Mapping[str, list[int]]
"""By file name: `Checkpoint.state_of`."""


class Inputs:
    """The input files of a run, as they were when it began; hashed in the background."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.states = _states(checkpoint)
        self._record = in_background(describe_source, checkpoint)

    def record(self) -> SourceRecord:
        """Label and hashes, as soon as they are known."""
        return self._record()

    def require_unchanged(self) -> None:
        """Refuse files that are not what they were.

        Raises:
            ChangedInputError: Size or time of one differ.
        """
        now = _states(self._checkpoint)
        touched = [name for name, state in self.states.items() if now[name] != state]
        if touched:
            raise changed_input(", ".join(touched))


def describe_source(checkpoint: Checkpoint) -> SourceRecord:
    """Hash every input file of a checkpoint, as soon as each is there.

    Raises:
        TricastError: A file cannot be downloaded.
    """
    known = KnownHashes()

    def hash_when_there(path: Path) -> FileRecord:
        checkpoint.await_file(path)
        return known.hash_file(checkpoint.folder, path)

    if checkpoint.remote is not None:
        with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
            files = tuple(pool.map(checkpoint.remote.hash_file, sorted(checkpoint.files)))
    else:
        files = tuple(map(hash_when_there, sorted(checkpoint.files)))
    for place, path in _adapter_files(checkpoint).items():
        record = known.hash_file(path.parent, path)
        files += (record.model_copy(update={"path": place}),)
    architecture = checkpoint.config.get("model_type")
    return SourceRecord(
        label=checkpoint.label,
        digest=combined_digest(files),
        files=files,
        architecture=architecture if isinstance(architecture, str) else None,
        licence=stated_licence(checkpoint.folder),
    )


def changed_input(what: str) -> ChangedInputError:
    """The error of a checkpoint that is not what it was."""
    return ChangedInputError(
        "the checkpoint changed while it was being converted",
        expected="the same files from the beginning to the end",
        found=what,
        remedy="run again with --restart to discard what was written and begin anew",
    )


def _adapter_files(checkpoint: Checkpoint) -> dict[str, Path]:
    """By the paths that they are recorded under, as if they were below the checkpoint."""
    return {
        f"lora-{number}/{path.name}": path
        for number, adapter in enumerate(checkpoint.adapters, 1)
        for path in adapter.files
    }


def _states(checkpoint: Checkpoint) -> dict[str, list[int]]:
    states = {path.name: checkpoint.state_of(path) for path in checkpoint.files}
    for place, path in _adapter_files(checkpoint).items():
        status = path.stat()
        states[place] = [status.st_size, status.st_mtime_ns]
    return states
