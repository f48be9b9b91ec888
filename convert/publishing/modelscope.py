"""Publishes to ModelScope, and fetches from it: large files first, then everything in one commit.

The SDK's own `upload_folder` commits what it could send when some files fail; so its calls for
single blobs and commits are used instead. Unverified against modelscope.cn itself.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from convert.errors import (
    UnavailableDestinationError,
    UnavailableSourceError,
    UsageError,
)
from convert.manifest import MANIFEST_NAME, STORES
from convert.publishing.contents import CARD_NAME, Item, safe_path
from convert.publishing.destination import ModelScopeRepository
from convert.publishing.file_slice import FileSlice
from convert.publishing.patience import Patience
from convert.publishing.published_files import recorded_files, require_own
from convert.publishing.redaction import Redactor
from convert.publishing.remote_errors import refused
from convert.publishing.sources import Advance, PublishedArtifact

if TYPE_CHECKING:
    from modelscope_hub import HubApi

LOGIN = "MODELSCOPE_API_TOKEN, or `modelscope login`"
_BRANCH = "master"
_KIND = "model"
_MADE_BY_THE_HUB = frozenset({CARD_NAME, "configuration.json", *STORES})

T = TypeVar("T")


class ModelScopePublisher:
    """One publication to ``organisation/name``.

    Args:
        name: Of the repository.
        redactor: Learns the token.
        patience: With a hub that is busy.
    """

    def __init__(self, name: str, redactor: Redactor, patience: Patience) -> None:
        self._name, self._redactor, self._patience = name, redactor, patience
        self._api = _api(redactor)
        if not self._api.legacy.token:
            raise UnavailableDestinationError(
                f"there is no token for ModelScope to publish {name} with", remedy=LOGIN
            )

    def publish(
        self, items: Sequence[Item], *, public: bool, message: str, advance: Advance
    ) -> str:
        """Send everything; the URL of the repository.

        Raises:
            UsageError: The repository holds other things, or is public and must not be.
            UnavailableDestinationError: ModelScope refuses, or cannot be reached.
        """
        gone = self._patiently(lambda: self._prepare(items, public))
        large = {item.sha256: item for item in items if _is_large(item)}
        for item in large.values():
            self._patiently(lambda item=item: self._send(item, advance))  # type: ignore[misc]
        operations = [*map(_addition, items), *map(_removal, gone)]
        self._patiently(
            lambda: self._api.legacy.create_commit(
                self._name, _KIND, operations, message, revision=_BRANCH
            )
        )
        for item in items:
            if item.sha256 not in large:
                advance(item.size)
        return f"{self._api.legacy.endpoint}/models/{self._name}"

    def _prepare(self, items: Sequence[Item], public: bool) -> tuple[str, ...]:
        """Make the repository, or see what is in it; the files that are to go."""
        from modelscope_hub import Visibility
        from modelscope_hub.errors import NotExistError

        try:
            info = self._api.get_repo(self._name, _KIND)
        except NotExistError:
            wanted = Visibility.PUBLIC if public else Visibility.PRIVATE
            self._api.create_repo(self._name, _KIND, visibility=wanted)
            return ()
        names = _names(self._api, self._name, _BRANCH)
        ours = self._recorded() if MANIFEST_NAME in names else frozenset()
        require_own(f"modelscope://{self._name}", names - ours - _MADE_BY_THE_HUB)
        if info.visibility != Visibility.PRIVATE and not public:
            raise UsageError(
                f"modelscope://{self._name} is public, and everybody would see the artifact",
                remedy="give --public, or choose another repository",
            )
        new = {item.path for item in items}
        return tuple(sorted((ours & names) - new - {CARD_NAME}))

    def _recorded(self) -> frozenset[str]:
        url = self._api.legacy.get_download_url(self._name, _KIND, MANIFEST_NAME, _BRANCH)
        path = url.partition("/api/v1/")[2]
        return recorded_files(self._api.legacy._request("GET", path).content)

    def _send(self, item: Item, advance: Advance) -> None:
        objects = [{"oid": item.sha256, "size": item.size}]
        url = self._api.legacy.validate_blobs(self._name, _KIND, objects).get(item.sha256)
        if url is None:
            advance(item.size)
            return
        with FileSlice(item, 0, item.size, advance) as body:
            self._api.legacy.upload_blob(url, body, item.size)

    def _patiently(self, step: Callable[[], T]) -> T:
        from modelscope_hub.errors import HubError

        failures = 0
        while True:
            try:
                return step()
            except HubError as error:
                failures += 1
                asked = getattr(error, "retry_after", None)
                if error.retryable and self._patience.wait(failures, asked):
                    continue
                status = getattr(error, "status_code", None)
                where = f"modelscope://{self._name}"
                raise refused(where, error, status, LOGIN, self._redactor) from None


class ModelScopeSource(PublishedArtifact):
    """A published artifact at a branch or commit."""

    def __init__(self, place: ModelScopeRepository, redactor: Redactor) -> None:
        self._place, self._redactor = place, redactor
        self._revision = place.revision or _BRANCH
        self._api = _api(redactor)

    def files(self) -> Mapping[str, int | None]:
        with self._explaining():
            entries = self._api.legacy.list_repo_files(self._place.name, _KIND, self._revision)
        return {safe_path(name): size for name, size in _blobs(entries)}

    def fetch(self, path: str, folder: Path, advance: Advance) -> None:
        with self._explaining():
            found = self._api.download_file(
                self._place.name, _KIND, path, revision=self._revision, local_dir=folder, force=True
            )
        advance(found.stat().st_size)

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        from modelscope_hub.errors import HubError

        try:
            yield
        except HubError as error:
            known = refused(
                str(self._place), error, getattr(error, "status_code", None), LOGIN, self._redactor
            )
            raise UnavailableSourceError(
                f"{self._place} does not give us the artifact",
                found=known.found,
                remedy=known.remedy,
            ) from None


def _api(redactor: Redactor) -> HubApi:
    try:
        from modelscope_hub import HubApi, HubConfig
    except ImportError as error:
        raise UsageError(
            "ModelScope's SDK is not installed", remedy="pip install 'tricast[modelscope]'"
        ) from error
    api = HubApi(HubConfig())
    redactor.hide(api.legacy.token)
    return api


def _is_large(item: Item) -> bool:
    from modelscope_hub.constants import (
        MODEL_LFS_SUFFIX,
        UPLOAD_INLINE_METADATA_PATHS,
        UPLOAD_LFS_FORCE_THRESHOLD_BYTES,
    )

    path = PurePosixPath(item.path)
    if path.name.upper() in UPLOAD_INLINE_METADATA_PATHS:
        return False
    return item.size > UPLOAD_LFS_FORCE_THRESHOLD_BYTES or path.suffix in MODEL_LFS_SUFFIX


def _addition(item: Item) -> dict[str, Any]:
    """An action of a commit, as the SDK's `create_commit` describes them."""
    action = {"action": "create", "path": item.path, "size": item.size}
    if _is_large(item):
        return {**action, "type": "lfs", "sha256": item.sha256, "content": "", "encoding": ""}
    data = item.source if isinstance(item.source, bytes) else item.source.read_bytes()
    content = base64.b64encode(data).decode()
    return {**action, "type": "normal", "sha256": "", "content": content, "encoding": "base64"}


def _removal(path: str) -> dict[str, Any]:
    return {"action": "delete", "path": path, "type": "normal", "size": 0, "sha256": ""}


def _names(api: HubApi, name: str, revision: str) -> frozenset[str]:
    return frozenset(path for path, _ in _blobs(api.legacy.list_repo_files(name, _KIND, revision)))


def _blobs(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, int | None]]:
    for entry in entries:
        if entry.get("Type", "blob") != "tree":
            size = entry.get("Size")
            yield str(entry.get("Path") or entry.get("Name")), size if type(size) is int else None
