"""Where an artifact goes to or comes from, as the command line names it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from convert.errors import UsageError

_FORMS = (
    "ORGANISATION/NAME or hf://ORGANISATION/NAME, modelscope://ORGANISATION/NAME, "
    "or oci://HOST[:PORT]/NAME:TAG"
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9][A-Za-z0-9_.-]{0,95}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,254}")
# https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_OCI = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?P<port>:\d{1,5})?"
    rf"/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
DEFAULT_TAG = "latest"


@dataclass(frozen=True)
class HubRepository:
    """A model repository on the Hugging Face hub."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.name}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class ModelScopeRepository:
    """A model repository on ModelScope."""

    name: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"modelscope://{self.name}" + (f"@{self.revision}" if self.revision else "")


@dataclass(frozen=True)
class OciReference:
    """A tag, or one manifest by its digest, in an OCI registry.

    Args:
        host: Of the registry, with its port if it is not the usual one.
        repository: Path below the registry.
        tag: None where a digest is meant.
        digest: ``sha256:`` and 64 hexadecimal digits.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def url(self) -> str:
        """Where its API begins; plain HTTP only on this machine, as Docker has it."""
        scheme = "http" if _is_this_machine(self.host) else "https"
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{scheme}://{host}/v2/"

    @property
    def reference(self) -> str:
        """What the manifest is asked for by."""
        return self.digest or self.tag or DEFAULT_TAG

    def __str__(self) -> str:
        at = f"@{self.digest}" if self.digest else f":{self.tag or DEFAULT_TAG}"
        return f"oci://{self.host}/{self.repository}{at}"


Place = HubRepository | ModelScopeRepository | OciReference


def parse_place(text: str) -> Place:
    """Read REPO of `convert publish` and `convert pull`.

    Raises:
        UsageError: Not of a known form. The message never repeats what stands before an ``@``,
            where people put passwords.
    """
    scheme, separator, rest = text.rpartition("://")
    if not separator:
        scheme, rest = "hf", text
    if "@" in rest.split("/")[0] or scheme not in ("hf", "modelscope", "oci"):
        raise UsageError(
            "cannot read REPO: it has a user, a password or an unknown scheme"
            if "@" in rest
            else f"cannot read REPO {text!r}",
            expected=_FORMS,
            remedy="tokens come from where `hf auth login`, MODELSCOPE_API_TOKEN or "
            "`docker login` keep them, never from the command line",
        )
    found = _parse_oci(rest) if scheme == "oci" else _parse_hub(scheme, rest)
    if found is None:
        meant = not separator and _parse_oci(rest) is not None
        raise UsageError(
            f"cannot read REPO {text!r}",
            expected=_FORMS,
            remedy=f"for a registry: oci://{text}" if meant else None,
        )
    return found


def _parse_hub(scheme: str, rest: str) -> Place | None:
    name, at, revision = rest.partition("@")
    bad = ".." in name or name.endswith((".git", ".", "-")) or "--" in name
    if not _HUB_NAME.fullmatch(name) or bad or (at and not _REVISION.fullmatch(revision)):
        return None
    kind = HubRepository if scheme == "hf" else ModelScopeRepository
    return kind(name, revision or None)


def _parse_oci(rest: str) -> OciReference | None:
    match = _OCI.fullmatch(rest)
    if match is None:
        return None
    host = match["host"] + (match["port"] or "")
    if match["host"] == "docker.io" and "/" not in match["repository"]:
        return OciReference(host, f"library/{match['repository']}", match["tag"], match["digest"])
    return OciReference(host, match["repository"], match["tag"], match["digest"])


def _is_this_machine(host: str) -> bool:
    name = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
