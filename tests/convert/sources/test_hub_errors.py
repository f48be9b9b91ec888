from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
from huggingface_hub import errors

from convert.errors import (
    DiskFullError,
    MissingFileError,
    TruncatedFileError,
    UnavailableSourceError,
)
from convert.sources.hub_errors import explained


def http(kind, status):
    response = SimpleNamespace(headers={}, status_code=status, request=None)
    return kind(f"{status} said the hub\n\nfor the url x", response=response)


def looked_for_in_the_cache(reason):
    error = errors.LocalEntryNotFoundError("not in the cache either")
    error.__cause__ = reason
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "no room"),
        OSError(errno.EDQUOT, "no room for you"),
        RuntimeError("Data processing: IO error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk(error):
    found = explained(error, "a.safetensors of 'org/name'")
    assert isinstance(found, DiskFullError)
    assert "a.safetensors of 'org/name'" in found.what
    assert "HF_HOME" in found.remedy


def test_a_file_that_is_not_there():
    found = explained(http(errors.RemoteEntryNotFoundError, 404), "a.safetensors of 'org/name'")
    assert isinstance(found, MissingFileError)
    assert found.found == "RemoteEntryNotFoundError: 404 said the hub"


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (http(errors.GatedRepoError, 403), "accept the model's terms"),
        (http(errors.HfHubHTTPError, 401), "hf auth login"),
        (http(errors.HfHubHTTPError, 403), "hf auth login"),
        (http(errors.RepositoryNotFoundError, 401), "check the name; a private model"),
        (http(errors.RevisionNotFoundError, 404), "check the revision"),
        (http(errors.HfHubHTTPError, 503), "connection"),
        (errors.OfflineModeIsEnabled("offline"), "unset HF_HUB_OFFLINE"),
        (errors.HFValidationError("bad name"), "check the name"),
        (ConnectionError("cut"), "run the same command again"),
        (OSError("Consistency check failed"), "run the same command again"),
        (TimeoutError(), "connection"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_not_to_be_had_comes_with_advice(error, advice, wrapped):
    found = explained(looked_for_in_the_cache(error) if wrapped else error, "'org/name' at 'v1'")
    assert isinstance(found, UnavailableSourceError)
    assert "'org/name' at 'v1'" in found.what
    assert advice in found.remedy
    assert type(error).__name__ in found.found
    assert "url" not in found.found


def test_errors_of_ours_pass():
    error = TruncatedFileError("short")
    assert explained(error, "x") is error
