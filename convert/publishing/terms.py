"""What a licence says about handing a converted model on, as far as its name tells."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNKNOWN = "unknown"

_OPEN = re.compile(
    r"(apache-|mit$|bsd|isc$|zlib|unlicense|cc0|cc-by-\d|cc-by-sa-\d|cdla-|mpl-|a?gpl|lgpl|eupl|"
    r"afl-|artistic|bsl-1\.0|pddl|odbl|ncsa|ms-pl|postgresql|ofl|wtfpl|osl-|ecl-|epl-|lppl)"
)
_NO_DERIVATIVES = re.compile(r"-nd(-|$)|no-?deriv")
_NON_COMMERCIAL = re.compile(r"-nc(-|$)|non-?commercial|research|fair-noncommercial")
_WITH_CONDITIONS = re.compile(
    r"llama|gemma|rail|yuan|qwen|deepseek|falcon|mrl|mistral|tongyi|glm|exaone|nvidia|other"
)
# https://huggingface.co/docs/hub/repositories-licenses
_HUB_IDENTIFIERS = re.compile(
    r"apache-2\.0|mit|openrail(\+\+)?|bigscience-openrail-m|bigscience-bloom-rail-1\.0|"
    r"creativeml-openrail-m|bigcode-openrail-m|afl-3\.0|artistic-2\.0|bsl-1\.0|bsd|bsd-2-clause|"
    r"bsd-3-clause(-clear)?|c-uda|cc|cc0-1\.0|cc-by-(2\.0|2\.5|3\.0|4\.0)|cc-by-sa-[34]\.0|"
    r"cc-by-nc-[234]\.0|cc-by-nd-4\.0|cc-by-nc-nd-[34]\.0|cc-by-nc-sa-[234]\.0|"
    r"cdla-(sharing-1\.0|permissive-[12]\.0)|wtfpl|ecl-2\.0|epl-[12]\.0|etalab-2\.0|"
    r"eupl-1\.[12]|agpl-3\.0|gfdl|gpl(-[23]\.0)?|lgpl(-2\.1|-3\.0|-lr)?|isc|h-research|"
    r"intel-research|lppl-1\.3c|ms-pl|apple-ascl|apple-amlr|mpl-2\.0|odc-by|odbl|openmdw-1\.[01]|"
    r"osl-3\.0|postgresql|ofl-1\.1|ncsa|unlicense|zlib|pddl|lgpl-lr|deepfloyd-if-license|"
    r"fair-noncommercial-research-license|llama2|llama3|llama3\.[123]|llama4|gemma|unknown|other"
)


@dataclass(frozen=True)
class Terms:
    """A licence as a model card states it.

    Args:
        name: What it is called; `UNKNOWN` if nobody says.
        concern: What speaks against handing the model on; None if its name is that of an open
            licence.
    """

    name: str
    concern: str | None

    def header(self) -> dict[str, str]:
        """The keys of a model card's header: the hub wants identifiers of its own list."""
        identifier = self.name.lower()
        if _HUB_IDENTIFIERS.fullmatch(identifier):
            return {"license": identifier}
        return {"license": "other", "license_name": self.name}


def terms_of(licence: str | None) -> Terms:
    """What is known of a licence by its name. Nobody has read it: a name can only warn."""
    name = (licence or "").strip() or UNKNOWN
    return Terms(name, _concern(name.lower()))


def _concern(name: str) -> str | None:
    if name in (UNKNOWN, "none"):
        return (
            "the licence of the original is not known; without one nobody may hand the model on. "
            "State it with --license"
        )
    if _NO_DERIVATIVES.search(name):
        return (
            "its licence forbids handing on altered versions, and a converted model may be one: "
            "ask the rights holder"
        )
    if _NON_COMMERCIAL.search(name):
        return "its licence allows no commercial use; keep its notice"
    if _OPEN.match(name) and not _WITH_CONDITIONS.search(name):
        return None
    return (
        "its licence is one of its own: read what it asks of those who hand the model on (a copy "
        "of it, a notice, a name)"
    )
