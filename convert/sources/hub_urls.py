"""``hf://organisation/name@revision``, as other programs write what is on the hub."""

from __future__ import annotations

from convert.errors import UsageError

_SCHEME = "hf://"
_EXPECTED = "hf://organisation/name, or hf://organisation/name@revision"


def hub_id(source: str, revision: str | None = None) -> tuple[str, str | None]:
    """The hub id that a name means, and the revision; other names are left as they are.

    Raises:
        UsageError: It is no name of a repository, or has a revision although one is given.
    """
    if not source.startswith(_SCHEME):
        return source, revision
    name, at, named = source.removeprefix(_SCHEME).rstrip("/").partition("@")
    parts = [*name.split("/"), *([named] if at else [])]
    if "" in parts or name.count("/") != 1 or name.startswith((".", "~")):
        raise UsageError(
            f"{source!r} names no checkpoint on the hub",
            expected=_EXPECTED,
            remedy="a checkpoint lies at the top of a repository; subfolders are not read"
            if name.count("/") > 1 or "/" in named
            else None,
        )
    if at and revision is not None:
        raise UsageError(
            f"{source} has a revision, and another one is given",
            found=f"revision {revision!r}",
            remedy="drop one of them",
        )
    return name, named if at else revision
