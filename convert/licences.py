"""The licence that a checkpoint's model card states, and its SPDX identifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from convert.bounded_yaml import read_yaml

_CARD = "README.md"
_DASHES = "---"
_KEYS = ("license:", "license_name:")
_LONGEST_HEADER = 1 << 18
_LONGEST_LICENCE = 300
_SPDX = (
    "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSL-1.0", "ISC",
    "CC0-1.0", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0",
    "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-3.0",
    "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "MPL-2.0",
    "EPL-2.0", "ECL-2.0", "EUPL-1.1", "EUPL-1.2", "AFL-3.0", "Artistic-2.0", "Zlib", "Unlicense",
    "WTFPL", "PostgreSQL", "OFL-1.1", "NCSA", "MS-PL", "ODbL-1.0", "PDDL-1.0", "etalab-2.0",
    "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0", "LPPL-1.3c", "OSL-3.0",
)  # fmt: skip
_BY_LOWER_CASE = {name.lower(): name for name in _SPDX}


def stated_licence(folder: Path) -> str | None:
    """The licence in the header of a checkpoint's README.md, as the hub writes it (``apache-2.0``);
    the name beside it where that says ``other``. None where there is none to be read.
    """
    header = _header(folder / _CARD)
    licence = header.get("license")
    if licence == "other":
        licence = header.get("license_name", licence)
    if isinstance(licence, list):
        licence = " AND ".join(map(str, licence))
    return licence.strip() or None if isinstance(licence, str) else None


def spdx_identifier(licence: str) -> str | None:
    """The identifier of the SPDX list for what a model card states; None for one's own terms.

    The hub's names are SPDX identifiers in lower case; GPL and its relatives are left out, because
    theirs do not say whether later versions are meant.
    """
    return _BY_LOWER_CASE.get(licence.lower())


def _header(path: Path) -> dict[str, Any]:
    """What is said of the licence in the YAML between the first lines of dashes. The rest, which
    can be long and is written by anybody, is not parsed.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = file.read(_LONGEST_HEADER).splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    if not lines or lines[0] != _DASHES or _DASHES not in lines[1:]:
        return {}
    kept, is_kept = "", False
    for line in lines[1 : lines.index(_DASHES, 1)]:
        if not line.startswith((" ", "-")):
            is_kept = line.startswith(_KEYS)
        kept += f"{line}\n" if is_kept else ""
    try:
        found = read_yaml(kept[:_LONGEST_LICENCE])
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}
