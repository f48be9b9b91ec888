"""How the scales of a run are chosen: by a text that runs with the stream, or as they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from convert.architectures import architecture_of
from convert.architectures.base import DecoderConfig
from convert.calibration_text import (
    MOST_TOKENS,
    SEQUENCE_TOKENS,
    CalibrationText,
    calibration_text,
)
from convert.checkpoint import Checkpoint
from convert.errors import UnsupportedError, UnsupportedTokenizerError
from convert.familiar_text import familiar_text
from convert.inputs import Inputs
from convert.one_pass import FORM, OnePass
from convert.recipe import NO_TEXT, Recipe
from passes.calibration.observations import tokens_digest
from passes.weighting import Weighting

SAMPLE_TOKENS = 128
"""Of the shipped text, for each expert on average if there are some. 64 give almost all of what
thousands give."""

FILE_TOKENS = 512
"""Of a user's text, at most: more change nothing that could be measured."""


@dataclass(frozen=True)
class ChosenWeighting:
    """What a recipe's ``calibrate`` comes to with a model.

    Args:
        weighting: What to do to quantized graphs; None leaves them as they are.
        one_pass: The text that runs with the stream, if one can.
    """

    weighting: Weighting | None
    one_pass: OnePass | None = None

    def line(self) -> str | None:
        """What there is to tell a user."""
        if self.one_pass is None:
            return None
        if self.one_pass.found_at is not None:
            return f"scales are weighted: {self.one_pass.found_at.name} is there already"
        return f"scales are weighted by {self.one_pass.tokens} tokens, run in the same read"


def choose_weighting(
    recipe: Recipe,
    checkpoint: Checkpoint,
    config: DecoderConfig,
    inputs: Inputs,
    out: Path,
    *,
    restart: bool = False,
) -> ChosenWeighting:
    """Open the recipe's text, and the model for it.

    Where the shipped text cannot be run, graphs get a note that says why.

    Args:
        recipe: Names the text, or wants none.
        checkpoint: The model.
        config: That of the checkpoint, normalized.
        inputs: The files of the checkpoint.
        out: Folder of the artifacts, where moments are kept.
        restart: Run the text from its beginning.

    Raises:
        UnsupportedError: The user's text cannot be run: the model has no tokenizer, the tokenizer
            is another model's, or the graph has operators that calibration does not know.
        MissingFileError: There is no such text.
        UsageError: It is none.
    """
    if recipe.calibrate == NO_TEXT:
        return ChosenWeighting(None)
    file = Path(recipe.calibration_file) if recipe.calibration_file else None
    try:
        text = _text(checkpoint, config, file)
        model = architecture_of(checkpoint.config).build(config, checkpoint.weights)
        one_pass = OnePass(model, text, out / moments_name(checkpoint.label, inputs, text))
    except UnsupportedError as error:
        if file is not None:
            raise
        return ChosenWeighting(Weighting(lambda weight: False, error.what))
    if restart:
        one_pass.forget()
    return ChosenWeighting(Weighting(one_pass.knows), one_pass)


def moments_name(label: str, inputs: Inputs, text: CalibrationText) -> str:
    """File name of moments: the same exactly if it would hold the same.

    Sizes and times of the checkpoint's files stand in for its digest, which may not be known
    before they are read; it is compared when it is.
    """
    key = [FORM, label, inputs.states, tokens_digest(text.sequences), metadata.version("numpy")]
    return f"moments-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}.safetensors"


def _experts_per_visit(config: DecoderConfig) -> int:
    """Experts among which a token's visits are divided, rounded up; 1 where there are none."""
    return 1 if config.experts is None else -(-config.experts.count // config.experts.used)


def weighting_text(folder: Path, file: Path | None, longest: int, most: int) -> CalibrationText:
    """Of a user's text, or of what the model knows best of the shipped one.

    Args:
        folder: Of the checkpoint.
        file: The user's text.
        longest: Tokens of a sequence.
        most: Tokens in all.

    Raises:
        UnsupportedTokenizerError: There is no tokenizer, or it cannot be loaded.
        MissingFileError: There is no such text.
        UsageError: It is none.
    """
    if file is None:
        return familiar_text(folder, sequence_tokens=longest, most_tokens=most)
    return calibration_text(folder, file, sequence_tokens=longest, most_tokens=most)


def _text(checkpoint: Checkpoint, config: DecoderConfig, file: Path | None) -> CalibrationText:
    usual = SAMPLE_TOKENS if file is None else FILE_TOKENS
    most = min(usual * _experts_per_visit(config), MOST_TOKENS)
    longest = min(most, SEQUENCE_TOKENS, config.max_positions)
    text = weighting_text(checkpoint.folder, file, longest, most)
    highest = max(map(max, text.sequences))
    if highest >= config.vocab:
        raise UnsupportedTokenizerError(
            f"the tokenizer has a token {highest}, the model none beyond {config.vocab - 1}",
            remedy="use the tokenizer that belongs to the model, or --calibrate none",
        )
    return text
