"""What was worked out from a tokenizer's files: loaded, converted, proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from targets import remembering

_SUFFIXES = frozenset({".json", ".txt", ".model", ".jinja"})
"""Of files that a tokenizer may be made of."""


def remembered(
    what: str,
    folder: Path,
    packages: Sequence[str],
    make: Callable[[], Mapping[str, bytes]],
) -> Mapping[str, bytes]:
    """What ``make`` returns, or returned for the same tokenizer before.

    Args:
        what: Name of the result, with every argument of ``make`` that is not in ``folder``.
        folder: Of the checkpoint.
        packages: Distributions whose versions matter; they need not be installed.
        make: Gives bytes by name. What it raises is not kept.
    """
    files = _tokenizer_files(folder)
    return remembering.remembered(what, packages, make, files=files, code=("targets",))


def _tokenizer_files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / "additional_chat_templates"):
        if place.is_dir():
            yield from sorted(path for path in place.iterdir() if path.suffix in _SUFFIXES)
