"""What the functions of the Python API return."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.manifest import Manifest
    from golden.result import GateResult


@dataclass(frozen=True)
class Made:
    """A finished artifact.

    Args:
        folder: Where it is; of an artifact that went elsewhere, where its manifest is.
        place: Where it is, as a text: a path or a URL; None: the folder.
    """

    folder: Path
    place: str | None = None

    @cached_property
    def manifest(self) -> Manifest:
        """What it says of itself."""
        from convert.manifest import read_manifest

        return read_manifest(self.folder)

    @property
    def name(self) -> str:
        """Its name in the recipe."""
        return self.manifest.artifact

    @property
    def nbytes(self) -> int:
        """Bytes of the files that its manifest lists."""
        return sum(file.size for file in self.manifest.files)

    @property
    def gate(self) -> GateResult | None:
        """What the gate found; None if it was not run."""
        from golden.result import GateResult

        found = self.manifest.gate.result
        return None if found is None else GateResult.from_json(found)


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Args:
        artifacts: In the order in which they were finished.
    """

    artifacts: tuple[Made, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the artifacts are."""
        return tuple(made.folder for made in self.artifacts)

    def __getitem__(self, name: str) -> Made:
        """The artifact of that name, as ``result["gguf-q4_0"]``."""
        for made in self.artifacts:
            if made.name == name:
                return made
        raise KeyError(name)


@dataclass(frozen=True)
class Verified:
    """An artifact that is what its manifest says.

    Args:
        folder: Where it is.
        manifest: What it says of itself.
        gate: What the gate found this time; None if it was not run again.
    """

    folder: Path
    manifest: Manifest
    gate: GateResult | None


@dataclass(frozen=True)
class Generated:
    """A text that was continued.

    Args:
        prompt: The text that went in, as its tokens say it.
        text: What was added.
        prompt_ids: Tokens of the first.
        new_ids: Tokens of the second.
        finish: Why it ended: ``stop`` at a token that ends texts, else ``length``.
    """

    prompt: str
    text: str
    prompt_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    finish: str
