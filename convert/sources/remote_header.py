"""Reads the header of a safetensors file that is elsewhere, without the file."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

from convert.sources.safetensors_files import (
    MAX_HEADER_BYTES,
    SafetensorsHeader,
    parse_header,
)

_MOSTLY_ENOUGH = 100_000


def read_remote_header(name: str, commit: str, path: Path, size: int) -> SafetensorsHeader:
    """Read and check the header of a file on the hub.

    Args:
        name: ``organisation/name`` on the hub.
        commit: Of the file.
        path: Where the file will be; its name is the one on the hub.
        size: Bytes of the whole file.

    Raises:
        BrokenInputError: See `safetensors_files.read_header`.
        Exception: Whatever the hub's client raises.
    """
    from huggingface_hub import hf_hub_url

    url = hf_hub_url(name, path.name, revision=commit)
    return read_header_by(partial(_first_bytes, url), path, size)


def read_header_by(first_bytes: Callable[[int], bytes], path: Path, size: int) -> SafetensorsHeader:
    """Read and check a header, by one small request, or two if it is long.

    Args:
        first_bytes: Asks for so many bytes from the beginning of the file.
        path: Where the file will be.
        size: Bytes of the whole file.

    Raises:
        BrokenInputError: See `safetensors_files.read_header`.
        Exception: Whatever ``first_bytes`` raises.
    """
    start = first_bytes(min(size, _MOSTLY_ENOUGH))
    needed = 8 + int.from_bytes(start[:8], "little")
    if len(start) < needed <= min(size, 8 + MAX_HEADER_BYTES):
        start = first_bytes(needed)
    return parse_header(path, io.BytesIO(start), size)


def _first_bytes(url: str, count: int) -> bytes:
    from huggingface_hub import constants
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
        http_stream_backoff,
    )

    headers = {
        **build_hf_headers(),
        "Range": f"bytes=0-{count - 1}",
        "Accept-Encoding": "identity",
    }
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with http_stream_backoff("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        received = bytearray()
        for block in response.iter_bytes():
            received += block
            # A server may send the whole file all the same.
            if len(received) >= count:
                break
    if len(received) < count:
        raise ConnectionError(f"{len(received)} bytes of {count} have arrived from {url}")
    return bytes(received[:count])
