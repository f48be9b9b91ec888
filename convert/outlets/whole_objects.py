"""Object storage other than S3, by obstore: objects are put whole, when an artifact is complete.

obstore sends large objects in parts too, but does not let one go on with them: after an
interruption an object is sent anew. Nothing of an object is visible before it is whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import TricastError, UnavailableDestinationError
from convert.outlets.s3_errors import not_what_was_sent
from convert.outlets.storage import PartStorage
from convert.sources.object_storage import open_store
from convert.sources.object_storage_errors import explained

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_PART_BYTES = 8 << 20
_AT_ONCE = 4


class WholeObjects:
    """A folder in a bucket or container; see `convert.outlets.storage.Storage`.

    Args:
        url: As `convert.sources.object_storage_urls.checked_url` gives it.

    Raises:
        UsageError: The extra is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def parts(self) -> PartStorage | None:
        """None."""
        return None

    @cached_property
    def _store(self) -> ObjectStore:
        return open_store(self.url)

    def require_access(self) -> None:
        """See `Storage`; the right to write shows only when something is written."""
        import obstore

        with self._explaining():
            obstore.list_with_delimiter(self._store)

    def sizes(self, folder: str) -> Mapping[str, int]:
        """See `Storage`."""
        import obstore

        with self._explaining():
            pages = list(obstore.list(self._store, prefix=folder))
        found = {str(each["path"]): int(each["size"]) for page in pages for each in page}
        # A store whose URL has a path may answer with whole keys.
        return {name[name.index(f"{folder}/") :]: size for name, size in found.items()}

    def read(self, name: str) -> bytes | None:
        """See `Storage`."""
        import obstore

        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._explained(error, name) from None

    def put(self, name: str, path: Path) -> None:
        """See `Storage`; the size is held against the file's afterwards."""
        import obstore

        with self._explaining(name):
            obstore.put(self._store, name, path, chunk_size=_PART_BYTES, max_concurrency=_AT_ONCE)
            found = int(obstore.head(self._store, name)["size"])
        if found != path.stat().st_size:
            raise not_what_was_sent(
                f"{self.url}/{name}", f"{path.stat().st_size:,} bytes", f"{found:,} bytes"
            )

    def remove(self, name: str) -> None:
        """See `Storage`."""
        import obstore

        try:
            obstore.delete(self._store, name)
        except FileNotFoundError:
            return
        except Exception as error:
            raise self._explained(error, name) from None

    def _explained(self, error: Exception, name: str) -> TricastError:
        known = explained(error, f"{self.url}/{name}".rstrip("/"))
        return UnavailableDestinationError(
            known.what, expected=known.expected, found=known.found, remedy=known.remedy
        )

    @contextmanager
    def _explaining(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except Exception as error:
            raise self._explained(error, name) from None
