"""The recipe schema: which artifacts to make from a model, and how good they must be."""

from __future__ import annotations

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from convert.bounded_yaml import read_yaml
from convert.errors import RecipeError, UsageError

SHIPPED_TEXT, NO_TEXT = "sample", "none"
"""What `Recipe.calibrate` may say besides the name of a file."""

ArtifactName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Override(_Strict):
    """Another encoding for the tensors whose names match a glob pattern."""

    pattern: str
    encoding: str


class Gate(_Strict):
    """Thresholds that replace the defaults of the artifact's encoding."""

    mean_kld: float | None = Field(None, gt=0, description="nats, at most")
    decoded_kld: float | None = Field(None, gt=0, description="the same, fed token by token")
    top1: float | None = Field(None, ge=0, le=1, description="share of positions, at least")
    perplexity_ratio: float | None = Field(None, gt=0, description="artifact / original, at most")
    faithful_kld: float | None = Field(
        None, gt=0, description="nats, at most, against the original with the stored weights"
    )
    weight_error: float | None = Field(
        None, gt=0, description="RMS of a stored tensor's error over its RMS, at most"
    )
    differing_texts: int | None = Field(None, ge=0, description="by the tokenizer, at most")
    differing_chats: int | None = Field(None, ge=0, description="by the template, at most")

    def given(self) -> dict[str, float]:
        """The thresholds that are set."""
        return {name: value for name, value in self if value is not None}


class Artifact(_Strict):
    """One artifact: a target, an encoding, and what departs from the defaults."""

    format: str = Field(description="name of the target")
    encoding: str | None = Field(None, description="default: the target's own default")
    name: ArtifactName | None = Field(None, description="folder; default FORMAT-ENCODING...")
    embeddings: str | None = Field(None, description="encoding of the embedding matrix")
    head: str | None = Field(None, description="encoding of the output head")
    overrides: tuple[Override, ...] = ()
    method: Literal["gptq", "awq", "awq-gptq", "autoround", "awq-autoround"] | None = Field(
        None, description="how codes are found; default: scales weighted in one pass"
    )
    smooth_quant: Annotated[float, Field(ge=0, le=1)] | Literal["search", "none"] | None = Field(
        None,
        description="SmoothQuant's alpha, or the best of a grid for each layer; default: 0.5 where "
        "activations are stored in 8 bits",
    )
    target_bits: float | None = Field(
        None, gt=0, description="the best mix of encodings of at most so many bits a weight"
    )
    max_kld: float | None = Field(
        None, gt=0, description="the smallest mix of encodings of at most this mean KL, in nats"
    )
    candidates: tuple[str, ...] = Field(
        (), description="encodings that a mix may use; default: all of the target's that it can"
    )
    passes: tuple[str, ...] = Field(
        (), description="passes of other packages, over the float graph, before the target's own"
    )
    gate: Gate = Gate()
    tensor_parallel: int | None = Field(None, ge=2, description="ranks to cut the model for")
    options: dict[str, Any] = Field(default_factory=dict, description="the target's own settings")

    @property
    def folder(self) -> str:
        """Name of the artifact's folder."""
        if self.name:
            return self.name
        parts = [self.format, self._stored_name, self.method]
        parts.append(f"tp{self.tensor_parallel}" if self.tensor_parallel else None)
        return "-".join(str(part) for part in parts if part is not None)

    @property
    def methods(self) -> tuple[str, ...]:
        """The parts of the method, in the order in which they are applied."""
        return tuple(self.method.split("-")) if self.method else ()

    @property
    def code_method(self) -> str | None:
        """The part that finds codes, one by one; None where they follow from scales."""
        return next((part for part in self.methods if part != "awq"), None)

    @property
    def is_mix(self) -> bool:
        """Whether encodings are chosen by measurement, each weight its own."""
        return self.target_bits is not None or self.max_kld is not None

    @property
    def _stored_name(self) -> str | None:
        if self.target_bits is not None:
            return f"{self.target_bits:g}bits"
        return self.encoding if self.max_kld is None else f"kld{self.max_kld:g}"

    @model_validator(mode="after")
    def _one_goal(self) -> Artifact:
        if self.target_bits is not None and self.max_kld is not None:
            raise ValueError("target_bits and max_kld are two goals: name one of them")
        if self.candidates and not self.is_mix:
            raise ValueError("candidates without target_bits or max_kld: there is nothing to mix")
        return self


class Recipe(_Strict):
    """A deployment: a model and the artifacts to make of it."""

    name: str
    description: str = ""
    model: str | None = Field(None, description="folder, GGUF file or hub id; MODEL overrides it")
    revision: str | None = Field(None, description="branch, tag or commit on the hub")
    lora: tuple[str, ...] = Field(
        (), description="folders of LoRA adapters, merged into the model in this order"
    )
    prompts: str | None = Field(None, description="file of gate prompts, beside the recipe")
    calibrate: str = Field(
        SHIPPED_TEXT,
        description="text whose activations are measured where an artifact needs that: a file "
        f"beside the recipe, {SHIPPED_TEXT} (the shipped text) or {NO_TEXT}",
    )
    calibration_tokens: int | None = Field(
        None,
        ge=32,
        description="tokens of the text, at most, where the model is read for them alone: ranges "
        "of activations, and methods such as gptq",
    )
    imatrix: str | None = Field(
        None, description="llama.cpp imatrix beside the recipe, to weight scales by instead"
    )
    hardware: tuple[str, ...] = Field(
        (),
        description="machines that `convert plan` is for: names, or files beside the recipe",
    )
    artifacts: tuple[Artifact, ...] = Field(min_length=1)

    @property
    def calibration_file(self) -> str | None:
        """The user's calibration text, if there is one."""
        return None if self.calibrate in (SHIPPED_TEXT, NO_TEXT) else self.calibrate

    @field_validator("artifacts")
    @classmethod
    def _folders_differ(cls, artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
        folders = [artifact.folder for artifact in artifacts]
        twice = sorted({folder for folder in folders if folders.count(folder) > 1})
        if twice:
            raise ValueError(f"two artifacts would share the folder {', '.join(twice)}")
        return artifacts

    @model_validator(mode="after")
    def _imatrix_weights_scales(self) -> Recipe:
        methods = sorted({each.method for each in self.artifacts if each.method is not None})
        if self.imatrix is not None and methods:
            raise ValueError(
                f"an imatrix weights scales, and {', '.join(methods)} reads a text: leave out one"
            )
        return self

    @model_validator(mode="after")
    def _revision_has_a_model(self) -> Recipe:
        if self.revision and not self.model:
            raise ValueError("a revision without a model")
        return self


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that come with Tricast."""
    files = resources.files("recipes").iterdir()
    return tuple(sorted(file.name[:-5] for file in files if file.name.endswith(".yaml")))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe file, or a shipped recipe by its name.

    Raises:
        RecipeError: No such recipe, not YAML, or not of the schema; every fault is named.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or path.is_file():
        return parse_recipe(_read_text(path), where=str(path), folder=path.parent)
    if name_or_path not in shipped_recipes():
        raise RecipeError(
            f"there is no recipe {name_or_path!r}",
            expected="a .yaml file, or one of: " + ", ".join(shipped_recipes()),
            remedy="see `convert list recipes`",
        )
    text = (resources.files("recipes") / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    return parse_recipe(text, where=name_or_path)


def parse_recipe(text: str, *, where: str, folder: Path = Path()) -> Recipe:
    """Parse a recipe; relative files are taken from ``folder``.

    Raises:
        RecipeError: Not YAML, or not of the schema.
    """
    try:
        document = read_yaml(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {where} is not YAML", found=str(error)) from error
    if not isinstance(document, dict):
        raise RecipeError(
            f"recipe {where} is not a mapping",
            expected="keys such as name, artifacts",
            found=type(document).__name__,
        )
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        raise RecipeError(
            f"recipe {where} does not follow the schema",
            found=faults(error),
            remedy="see CONTRIBUTING.md and the shipped recipes for the keys",
        ) from error
    files = {
        "prompts": recipe.prompts,
        "calibrate": recipe.calibration_file,
        "imatrix": recipe.imatrix,
    }
    placed = {key: str(folder / name) for key, name in files.items() if name is not None}
    adapters = tuple(str(folder / name) for name in recipe.lora)
    machines = tuple(
        str(folder / name) if Path(name).suffix in {".yaml", ".yml"} else name
        for name in recipe.hardware
    )
    return recipe.model_copy(update={**placed, "lora": adapters, "hardware": machines})


def faults(error: ValidationError) -> str:
    """What pydantic found wrong with a recipe: each place, and what is the matter there."""
    found = [(".".join(map(str, place)) or "recipe", what) for place, what in placed_faults(error)]
    # A list whose items are wrong is also reported as too short.
    deepest = [
        (place, what)
        for place, what in found
        if not any(other.startswith(f"{place}.") for other, _ in found)
    ]
    return "; ".join(f"{place}: {what}" for place, what in deepest)


def placed_faults(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """What pydantic found wrong with a recipe: where, and in words for its author."""
    return [(fault["loc"], _in_words(fault)) for fault in error.errors()]


def _in_words(fault: ErrorDetails) -> str:
    if fault["type"] != "extra_forbidden":
        return fault["msg"].removeprefix("Value error, ")
    keys = {key for kind in (Recipe, Artifact, Override, Gate) for key in kind.model_fields}
    close = difflib.get_close_matches(str(fault["loc"][-1]), sorted(keys), n=1)
    return "there is no such key" + (f"; did you mean {close[0]!r}?" if close else "")


def parse_to(text: str) -> Artifact:
    """Parse ``FORMAT[:ENCODING]`` of the command line.

    Raises:
        UsageError: Not of that form.
    """
    match = re.fullmatch(r"([a-z][a-z0-9_]*)(?::([a-z0-9][a-z0-9_]*))?", text)
    if match is None:
        raise UsageError(
            f"cannot read --to {text!r}",
            expected="FORMAT:ENCODING, for example gguf:q4_0",
            remedy="see `convert list targets` and `convert list encodings`",
        )
    return Artifact(format=match[1], encoding=match[2])


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"cannot read the recipe {path}", found=str(error)) from error
