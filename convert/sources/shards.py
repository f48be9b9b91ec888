"""The index of a sharded checkpoint: which file holds which tensor, inside the folder only."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from convert.errors import (
    BadHeaderError,
    MissingFileError,
    TensorMismatchError,
    UnsafePathError,
)


def read_index(path: Path, coming: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """File names with the tensors the index assigns to them, sorted.

    Args:
        path: The index.
        coming: Names of files that are on their way to its folder.

    Raises:
        BadHeaderError: The index is no JSON object with a ``weight_map`` of strings.
        UnsafePathError: A file name leads outside the folder.
        MissingFileError: A file is not there.
    """
    weight_map = read_json_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadHeaderError(
            f"{path}: no weight_map",
            expected="an object of tensor names and file names",
            found=repr(weight_map)[:80],
            remedy="download the index again",
        )
    files: dict[str, list[str]] = {}
    for tensor, file in weight_map.items():
        if not isinstance(file, str):
            raise BadHeaderError(
                f"{path}: tensor {tensor!r} has no file name",
                expected="a string",
                found=repr(file)[:80],
                remedy="download the index again",
            )
        files.setdefault(file, []).append(tensor)
    for file in files:
        check_inside(path, file, coming)
    return {file: tuple(files[file]) for file in sorted(files)}


def check_inside(index: Path, file: str, coming: Collection[str] = ()) -> None:
    """Refuse a file name that leads out of the index's folder, and one that leads nowhere.

    A file that is ``coming`` need not be there.

    A link may point out of the folder only from within the hub's cache, which is made of links;
    there it must stay in the same repository's cache.

    Raises:
        UnsafePathError: The name is absolute, climbs, or is a link that leads out.
        MissingFileError: There is no such file.
    """
    parts = PurePosixPath(file), PureWindowsPath(file)
    unsafe = any(part.is_absolute() or part.drive or ".." in part.parts for part in parts)
    target = index.parent / file
    if unsafe or not _can_name_a_file(file) or not _resolves_inside(index.parent, target):
        raise UnsafePathError(
            f"{index} points outside its folder",
            expected="names of files beside the index",
            found=repr(file),
            remedy="do not use this checkpoint unless you know where it comes from",
        )
    if file not in coming and not target.is_file():
        raise MissingFileError(
            f"{target} is missing",
            expected=f"the file that {index.name} names",
            remedy="download the shard",
        )


def check_promised(path: Path, promised: Collection[str], present: Collection[str]) -> None:
    """Compare the tensors of a file with those the index promised; no promise fits all.

    Raises:
        TensorMismatchError: They differ.
    """
    missing, surplus = sorted({*promised} - {*present}), sorted({*present} - {*promised})
    if not promised or not (missing or surplus):
        return
    raise TensorMismatchError(
        f"{path.name} does not hold the tensors that the index names",
        expected=f"{len(promised)} tensors" + (f", {missing[0]!r} among them" if missing else ""),
        found=f"{len(present)} tensors" + (f", {surplus[0]!r} among them" if surplus else ""),
        remedy="download the shards and the index from the same revision",
    )


def _can_name_a_file(text: str) -> bool:
    """JSON can hold halves of surrogate pairs, which are no characters."""
    return (
        bool(text) and "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)
    )


def _resolves_inside(folder: Path, target: Path) -> bool:
    allowed = [folder.resolve()]
    # The hub's cache: REPO/snapshots/COMMIT/file links to REPO/blobs/HASH.
    if folder.parent.name == "snapshots":
        allowed.append(folder.parent.parent.resolve() / "blobs")
    resolved = target.resolve()
    return any(resolved.is_relative_to(root) for root in allowed)


def read_json_object(path: Path) -> Mapping[str, Any]:
    """A JSON file whose top is an object.

    Raises:
        MissingFileError: There is no such file.
        BadHeaderError: It cannot be parsed, or its top is something else.
    """
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{path} is missing", remedy="download the whole checkpoint"
        ) from error
    except OSError as error:
        raise MissingFileError(
            f"{path} cannot be read", found=error.strerror, remedy="check the file's permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadHeaderError(
            f"{path} is no JSON", found=str(error)[:120], remedy="download the file again"
        ) from error
    if not isinstance(value, dict):
        raise BadHeaderError(
            f"{path} is no JSON object",
            found=type(value).__name__,
            remedy="download the file again",
        )
    return value
