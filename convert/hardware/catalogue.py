"""Hardware by name: the profiles that come with Tricast, a file of the user's, or this machine."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError

from convert.bounded_yaml import read_yaml
from convert.errors import UsageError
from convert.hardware.profile import Hardware
from convert.recipe import faults

THIS = "this"
"""The name of the machine that Tricast runs on."""

_PROFILES = resources.files("convert") / "hardware" / "profiles"


def hardware_names() -> tuple[str, ...]:
    """Names of the shipped profiles, and of this machine."""
    names = sorted(file.name[:-5] for file in _PROFILES.iterdir() if file.name.endswith(".yaml"))
    return (*names, THIS)


def load_hardware(name_or_path: str) -> Hardware:
    """A shipped profile by its name, ``this`` machine, or a YAML file of the same form.

    Raises:
        UsageError: There is none of that name, or the file is no profile; all faults are named.
    """
    if name_or_path == THIS:
        from convert.hardware.this_machine import this_machine

        return this_machine().hardware()
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        return parse_hardware(_read(path), where=str(path))
    if name_or_path not in hardware_names():
        raise UsageError(
            f"there is no hardware {name_or_path!r}",
            expected="a .yaml file, or one of: " + ", ".join(hardware_names()),
            remedy="see `convert list hardware`",
        )
    text = (_PROFILES / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    return parse_hardware(text, where=name_or_path)


def parse_hardware(text: str, *, where: str) -> Hardware:
    """Read a profile.

    Raises:
        UsageError: Not YAML, or not of the schema.
    """
    try:
        document = read_yaml(text)
    except yaml.YAMLError as error:
        raise UsageError(
            f"the hardware profile {where} is not YAML", found=str(error).replace("\n", " ")
        ) from error
    try:
        return Hardware.model_validate(document)
    except ValidationError as error:
        raise UsageError(
            f"the hardware profile {where} does not follow the schema",
            found=faults(error),
            remedy="copy a profile of convert/hardware/profiles and change its figures",
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the hardware profile {path}", found=str(error)) from error
