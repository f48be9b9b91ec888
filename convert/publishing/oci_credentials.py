"""Who we are to a registry: what `docker login` and `podman login` keep, and their helpers."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from convert.errors import UnavailableDestinationError

_HELPER_SECONDS = 60
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_IDENTITY = "<token>"
_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True)
class Credential:
    """A login.

    Args:
        username: Empty for an identity token.
        secret: The password, or the identity token; no text of this object shows it.
    """

    username: str
    secret: str = field(repr=False)

    @property
    def is_identity_token(self) -> bool:
        """Whether the secret is exchanged for tokens as it is (OAuth 2), without a name."""
        return not self.username


def credential_for(host: str, repository: str) -> Credential | None:
    """The login for a repository, or None: the first that Docker's and Podman's files know.

    Formats: docker/cli ``cli/config/configfile/file.go``; containers-auth.json(5);
    github.com/docker/docker-credential-helpers.

    Raises:
        UnavailableDestinationError: A credential helper that is named for the host is missing.
    """
    for path in _files():
        settings = _read(path)
        for key in _keys(host, repository):
            found = _from_helper(settings, key) or _from_file(settings, key)
            if found is not None:
                return found
    return None


def _files() -> Iterator[Path]:
    given = os.environ.get("DOCKER_CONFIG")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - without a home it stays as it is
    yield (Path(given) if given else home / ".docker") / "config.json"
    if named := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    yield home / ".config" / "containers" / "auth.json"


def _keys(host: str, repository: str) -> Iterator[str]:
    """Podman keeps logins below a host as well; the nearest one counts."""
    parts = repository.split("/")
    for count in range(len(parts), 0, -1):
        yield "/".join((host, *parts[:count]))
    yield host
    yield f"https://{host}"
    if host == "docker.io":
        yield from _DOCKER_HUB


def _read(path: Path) -> Mapping[str, Any]:
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, dict) else {}


def _from_helper(settings: Mapping[str, Any], key: str) -> Credential | None:
    helpers = settings.get("credHelpers")
    named = helpers.get(key) if isinstance(helpers, dict) else None
    shared = settings.get("credsStore")
    if isinstance(named, str):
        return _ask_helper(named, key, required=True)
    if isinstance(shared, str) and shared:
        return _ask_helper(shared, key, required=False)
    return None


def _ask_helper(name: str, key: str, *, required: bool) -> Credential | None:
    program = f"docker-credential-{name}"
    if not _HELPER_NAME.fullmatch(name) or shutil.which(program) is None:
        if not required:
            return None
        raise UnavailableDestinationError(
            f"the credential helper for {key} is not there",
            expected=f"a program {program!r}",
            remedy="install it, or log in with `docker login`",
        )
    try:
        ended = subprocess.run(
            [program, "get"], input=key, capture_output=True, text=True, check=False,
            timeout=_HELPER_SECONDS,
        )  # fmt: skip
        answer = json.loads(ended.stdout) if ended.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if not isinstance(answer, dict):
        return None
    user, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        return None
    return Credential("" if user == _IDENTITY else user, secret)


def _from_file(settings: Mapping[str, Any], key: str) -> Credential | None:
    logins = settings.get("auths")
    login = logins.get(key) if isinstance(logins, dict) else None
    if not isinstance(login, dict):
        return None
    identity = login.get("identitytoken")
    if isinstance(identity, str) and identity:
        return Credential("", identity)
    try:
        pair = base64.b64decode(str(login.get("auth", "")), validate=True).decode()
    except ValueError:  # not base64, or not UTF-8
        return None
    name, colon, secret = pair.partition(":")
    return Credential(name, secret) if colon and name and secret else None
