"""Publishes to the Hugging Face hub: large files first, then everything in one commit."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from convert.errors import UnavailableDestinationError, UsageError
from convert.manifest import MANIFEST_NAME, STORES
from convert.publishing.contents import CARD_NAME, Item
from convert.publishing.patience import Patience, retry_after
from convert.publishing.published_files import recorded_files, require_own
from convert.publishing.redaction import Redactor
from convert.publishing.remote_errors import refused

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOGIN = "`hf auth login`, or HF_TOKEN, with a token that may write"
_BUSY = frozenset({429, 500, 502, 503, 504})
_MANIFEST_LIMIT = 64 << 20


@dataclass(frozen=True)
class _State:
    """A repository as it is.

    Args:
        commit: Its newest.
        private: Whether only its organisation sees it.
        ours: Files of an earlier publication, its manifest and card included.
        foreign: Any others.
    """

    commit: str | None
    private: bool
    ours: frozenset[str]
    foreign: frozenset[str]


class HubPublisher:
    """One publication to ``organisation/name``.

    Nothing is seen before the commit, which is the last thing sent: large files go to the hub's
    store first, where a later call finds those that have arrived.

    Args:
        name: Of the repository.
        redactor: Learns the token.
        patience: With a hub that is busy.
    """

    def __init__(self, name: str, redactor: Redactor, patience: Patience) -> None:
        from huggingface_hub import HfApi, constants, get_token

        if constants.HF_HUB_OFFLINE:
            raise UnavailableDestinationError(
                f"{name} is not published: HF_HUB_OFFLINE is set", remedy="unset HF_HUB_OFFLINE"
            )
        self._name, self._redactor, self._patience = name, redactor, patience
        token = get_token()
        if token is None:
            raise UnavailableDestinationError(
                f"there is no token for the hub to publish {name} with", remedy=LOGIN
            )
        redactor.hide(token)
        self._api: HfApi = HfApi(library_name="tricast")

    def publish(self, items: Sequence[Item], *, public: bool, message: str) -> str:
        """Send everything; the URL of the commit.

        Raises:
            UsageError: The repository holds other things, or is public and must not be.
            UnavailableDestinationError: The hub refuses, or cannot be reached.
        """
        failures = 0
        while True:
            try:
                with _quiet_bars():
                    return self._publish_once(items, public=public, message=message)
            except UsageError:
                raise
            except Exception as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise  # a file of ours
                failures += 1
                if not self._may_try_again(error, failures):
                    status = _Answer.to(error).status
                    where = f"hf://{self._name}"
                    raise refused(where, error, status, LOGIN, self._redactor) from None

    def _publish_once(self, items: Sequence[Item], *, public: bool, message: str) -> str:
        from huggingface_hub import (
            CommitOperationAdd,
            CommitOperationCopy,
            CommitOperationDelete,
        )

        state = self._state(public)
        self._require_fit(state, items, public)
        names = {item.path for item in items}
        gone = sorted(state.ours - names)
        operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
            *(
                CommitOperationAdd(
                    item.path,
                    item.source if isinstance(item.source, bytes) else str(item.source),
                )
                for item in items
            ),
            *(CommitOperationDelete(name) for name in gone),
        ]
        info = self._api.create_commit(
            self._name, operations, commit_message=message, parent_commit=state.commit
        )
        return str(info.commit_url)

    def _state(self, public: bool) -> _State:
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            info = self._api.model_info(self._name)
        except RepositoryNotFoundError:
            self._api.create_repo(self._name, private=not public, exist_ok=True)
            info = self._api.model_info(self._name)
        names = frozenset(
            file.rfilename for file in info.siblings or () if file.rfilename not in STORES
        )
        ours = self._recorded(info.sha) & names if MANIFEST_NAME in names else frozenset()
        # A repository that was made on a page has a card without a manifest.
        return _State(info.sha, bool(info.private), ours, names - ours - {CARD_NAME})

    def _recorded(self, commit: str | None) -> frozenset[str]:
        """Files of the publication that a repository holds; none if it is not one of ours."""
        with TemporaryDirectory(prefix="tricast-") as folder:
            path = self._api.hf_hub_download(
                self._name, MANIFEST_NAME, revision=commit, local_dir=folder
            )
            if Path(path).stat().st_size > _MANIFEST_LIMIT:
                return frozenset()
            return recorded_files(Path(path).read_bytes())

    def _require_fit(self, state: _State, items: Sequence[Item], public: bool) -> None:
        require_own(f"hf://{self._name}", state.foreign)
        if not state.private and not public:
            raise UsageError(
                f"hf://{self._name} is public, and everybody would see the artifact",
                remedy="give --public, or choose another repository",
            )

    def _may_try_again(self, error: Exception, failures: int) -> bool:
        answer = _Answer.to(error)
        # The library has been patient already with what is not among these.
        mine = ("/api/repos/create", f"/api/models/{self._name}")
        if not (answer.path in mine or answer.path.startswith(f"{mine[1]}/commit/")):
            return False
        if answer.status is not None and answer.status not in _BUSY:
            return False
        return self._patience.wait(failures, answer.retry_after)


@dataclass(frozen=True)
class _Answer:
    """What was asked and answered when an error came about.

    Args:
        path: Of the URL; empty if no request was made.
        status: None if no answer came.
        retry_after: Seconds that the answer asks to wait.
    """

    path: str = ""
    status: int | None = None
    retry_after: float | None = None

    @classmethod
    def to(cls, error: BaseException | None) -> _Answer:
        """Of an error, or of the first that it followed from that tells."""
        while error is not None:
            response = getattr(error, "response", None)
            if response is not None:
                wait = retry_after(response.headers.get("Retry-After"))
                return cls(_path(response), int(response.status_code), wait)
            if path := _path(error):
                return cls(path)
            error = error.__cause__ or error.__context__
        return cls()


def _path(of: Any) -> str:
    try:
        return urlsplit(str(of.request.url)).path
    except (AttributeError, RuntimeError):  # an error without a request says so by an error
        return ""


@contextmanager
def _quiet_bars() -> Iterator[None]:
    """Bars are for terminals; a log would fill with them."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if sys.stderr.isatty() or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
