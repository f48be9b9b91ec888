"""Texts to continue: one of each line of a JSON Lines file, here or on the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from convert.errors import BrokenInputError, MissingFileError, UsageError
from golden.texts import FOLDER

_ON_THE_HUB = re.compile(r"\w[\w.-]*/[\w.-]+(:[\w.-]+)?", re.ASCII)
_FORMATS = (".jsonl", ".json", ".ndjson", ".csv", ".txt", ".parquet")
"""Endings that say that a file was meant."""

SHIPPED = {"news": FOLDER / "news.jsonl"}
"""Data sets that come with the package, by name."""


@dataclass(frozen=True)
class Text:
    """A text, and where it is from, for messages."""

    content: str
    where: str


def read_data_set(name: str, column: str, limit: int | None = None) -> list[Text]:
    """The texts of a data set, in order.

    Args:
        name: A file; a name of `SHIPPED`; or a data set on the hub, ``organisation/name`` or
            ``organisation/name:split``.
        column: Key of the text in each line.
        limit: How many at most.

    Raises:
        MissingFileError: There is no such file, and the name is none of the hub's.
        UsageError: The lines have no such column, or there is no line.
        BrokenInputError: A line is not a JSON object, or its text is none.
        TricastError: The hub does not give us the data set; see `convert.sources.hub_data_set`.
    """
    texts = list(islice(_texts(_files(name), column), limit))
    if not texts:
        raise UsageError(f"the data set {name} holds no line", expected="a JSON object a line")
    return texts


def _files(name: str) -> Iterable[Path]:
    path = Path(name)
    if path.exists() and not path.is_dir():
        return [path]
    if name in SHIPPED:
        return [SHIPPED[name]]
    if path.exists() or not _ON_THE_HUB.fullmatch(name) or path.suffix in _FORMATS:
        raise MissingFileError(
            f"there is no file {name}",
            expected="a JSON Lines file, or a data set on the hub such as organisation/name:train",
        )
    from convert.sources.hub_data_set import data_set_files

    return data_set_files(name)


def _texts(files: Iterable[Path], column: str) -> Iterator[Text]:
    for path in files:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"line {number} of {path.name}"
                    yield Text(_text(line, column, where), where)


def _text(line: bytes, column: str, where: str) -> str:
    row = _row(line, where)
    if column not in row:
        raise UsageError(
            f"{where} has no column {column!r}",
            found=", ".join(map(repr, row)) or "no columns",
            remedy="name one of these with --column" if row else None,
        )
    content = row[column]
    if not isinstance(content, str):
        raise BrokenInputError(
            f"column {column!r} in {where} is not a text", found=type(content).__name__
        )
    return content


def _row(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BrokenInputError(
            f"{where} is not JSON", expected="a JSON object a line", found=str(error)
        ) from error
    if not isinstance(row, dict):
        raise BrokenInputError(f"{where} is not a JSON object", found=type(row).__name__)
    return row
