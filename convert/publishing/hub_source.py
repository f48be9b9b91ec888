"""Fetches an artifact from the Hugging Face hub, at one commit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from convert.errors import TricastError
from convert.publishing.contents import safe_path
from convert.publishing.destination import HubRepository
from convert.publishing.redaction import Redactor
from convert.publishing.sources import Advance, PublishedArtifact
from convert.sources.hub_errors import explained
from convert.sources.silent_bar import silent_bar


class HubSource(PublishedArtifact):
    """See the module."""

    def __init__(self, place: HubRepository, redactor: Redactor) -> None:
        from huggingface_hub import HfApi, get_token

        redactor.hide(get_token())
        self._place, self._redactor = place, redactor
        self._api = HfApi(library_name="tricast")
        self._commit: str | None = None

    def files(self) -> Mapping[str, int | None]:
        try:
            info = self._api.model_info(
                self._place.name, revision=self._place.revision, files_metadata=True
            )
        except Exception as error:
            raise self._explained(error, str(self._place)) from None
        self._commit = info.sha
        return {safe_path(file.rfilename): file.size for file in info.siblings or ()}

    def fetch(self, path: str, folder: Path, advance: Advance) -> None:
        from huggingface_hub import hf_hub_download

        try:
            hf_hub_download(
                self._place.name,
                path,
                revision=self._commit,
                local_dir=folder,
                tqdm_class=silent_bar(advance),
            )
        except Exception as error:
            raise self._explained(error, f"{path} of {self._place}") from None

    def tidy(self, folder: Path) -> None:
        shutil.rmtree(folder / ".cache", ignore_errors=True)

    def _explained(self, error: Exception, wanted: str) -> TricastError:
        known = explained(error, wanted)
        return type(known)(
            self._redactor.clean(known.what),
            expected=known.expected,
            found=self._redactor.clean(known.found or ""),
            remedy=known.remedy,
        )
