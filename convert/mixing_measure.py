"""The sensitivities that a mix is chosen by: found beside the artifacts, or measured now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import onnx_ir as ir

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_text import calibration_text, spread
from convert.checkpoint import Checkpoint
from convert.errors import UnsupportedTokenizerError
from convert.graph import Role, parameters, roles
from convert.memory import default_budget
from convert.mixing import Mix, Mixing, measured_encodings
from convert.mixing_candidates import slots
from convert.mixing_store import keep, load, sensitivities_name
from convert.progress import Reporter
from convert.recipe import Artifact
from convert.weighting import weighting_text
from passes.calibration.execution import bytes_to_read
from passes.calibration.sensitivity import (
    Asked,
    Encodings,
    Sensitivity,
    Texts,
    in_groups,
    joint_kld,
    measure,
)
from targets.base import Target

WEIGHTING_TOKENS = 128
"""As many as those that weight the scales of an artifact."""

READING_TOKENS = 64
"""On which each weight's own cost is measured. What an encoding costs is to what its layer's
outputs lose as for other encodings within a third; more tokens cost time in proportion."""

JOINT_TOKENS = 1024
"""On which a whole mix is measured, once or a few times."""

SEQUENCE_TOKENS = 128
_COPIES_OF_WIDEST = 6
"""Arrays as wide as the widest layer that are held for each token in the middle of a layer."""


class Mixer:
    """Finds mixes of one model.

    Args:
        checkpoint: The model.
        config: That of the checkpoint, normalized.
        digest: Of the whole checkpoint.
        out: Folder of the artifacts, where sensitivities are kept.
        text: The user's calibration text; None for the shipped one.
        reporter: Told of what is measured, and of the mix.

    Raises:
        UnsupportedTokenizerError: The checkpoint has no tokenizer to read a text with.
        MissingFileError: There is no such text.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: DecoderConfig,
        digest: str,
        out: Path,
        *,
        text: Path | None,
        reporter: Reporter,
    ) -> None:
        self._digest, self._out, self._reporter = digest, out, reporter
        self._build = partial(architecture_of(checkpoint.config).build, config, checkpoint.weights)
        longest = min(SEQUENCE_TOKENS, config.max_positions)
        weighting, others = _texts(checkpoint.folder, text, longest)
        self._short = Texts(weighting, tuple(spread(others, READING_TOKENS)))
        self._long = Texts(weighting, tuple(spread(others, JOINT_TOKENS)))

    def mix(self, stored: ir.Model, target: Target, artifact: Artifact) -> Mix:
        """The mix for one artifact.

        Args:
            stored: The artifact's graph, its weights stored as without a mix.
            target: Of the artifact.
            artifact: Has ``target_bits`` or ``max_kld``.

        Raises:
            UsageError: No mix reaches the goal, or there is nothing to mix.
            UnsupportedError: The model cannot be run for calibration.
            BrokenInputError: The model's own activations are not finite.
        """
        plain = self._build()
        open_slots = slots(stored, plain, target, artifact)
        asked = [Asked(one.name, one.candidates, measured_encodings(one)) for one in open_slots]
        costs = self._costs(plain, asked)
        mixing = Mixing(
            stored,
            open_slots,
            costs,
            together([one.name for one in open_slots], target),
            self._joint,
            self._long.tokens,
        )
        return mixing.choose(artifact)

    def _costs(self, model: ir.Model, asked: Sequence[Asked]) -> dict[str, Sensitivity]:
        path = self._out / sensitivities_name(self._digest, self._short, asked)
        found = load(path)
        left = [one for one in asked if one.name not in found]
        if not left:
            self._reporter.say(f"mix: {path.name} is there already")
            return found
        groups = list(in_groups(left, _at_once(model, self._short.tokens)))
        title = f"measure {len(left)} weights on {self._short.tokens} tokens"
        with self._reporter.transfer(title, len(groups) * bytes_to_read(model)) as advance:
            for group in groups:
                found |= measure(self._build(), self._short, group, advance)
                keep(path, found)
        return found

    def _joint(self, encodings: Encodings) -> float:
        model = self._build()
        title = f"measure the mix on {self._long.tokens} tokens"
        with self._reporter.transfer(title, bytes_to_read(model)) as advance:
            return joint_kld(model, self._long, [encodings], advance)[0]


_EXPERT = re.compile(r"\.experts\.\d+\.")


def together(names: Sequence[str], target: Target) -> list[tuple[str, ...]]:
    """The weights that the target's runtime fuses: those of one module that it names, or those of
    a layer's experts.
    """
    found: dict[tuple[str, int], list[str]] = {}
    for name in names:
        stack = _EXPERT.sub(".experts.", name)
        if target.stacked_experts and stack != name:
            found.setdefault((stack, -1), []).append(name)
            continue
        module, _, leaf = name.removesuffix(".weight").rpartition(".")
        for number, leaves in enumerate(target.fused):
            if leaf in leaves:
                found.setdefault((module, number), []).append(name)
    return [tuple(group) for group in found.values()]


def _texts(
    folder: Path, file: Path | None, longest: int
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Texts that weight scales as an artifact's are, and others, if there are any."""
    try:
        weighting = weighting_text(
            folder, file, min(WEIGHTING_TOKENS, longest), WEIGHTING_TOKENS
        ).sequences
        pieces = calibration_text(folder, file, sequence_tokens=longest).sequences
    except UnsupportedTokenizerError as error:
        raise UnsupportedTokenizerError(
            "a mix is measured on a text, which takes the model's tokenizer",
            found=error.what,
            remedy="add the tokenizer to the checkpoint, or choose an encoding",
        ) from error
    others = tuple(
        piece for piece in pieces if not any(piece[: len(used)] == used for used in weighting)
    )
    return weighting, others or pieces


def _at_once(model: ir.Model, tokens: int) -> int:
    """How many variations of a model fit into the memory that may be used."""
    role_of = roles(model)
    widest = max(
        max(each.weight.rows, each.weight.columns)
        for name, each in parameters(model).items()
        if role_of[name] is Role.LINEAR
    )
    return max(1, default_budget() // (4 * tokens * _COPIES_OF_WIDEST * widest))
