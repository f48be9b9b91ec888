"""What a recipe may set for the gaudi target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from convert.architectures.base import DecoderConfig
from convert.errors import UsageError
from targets.gaudi.cards import CARDS, Card
from targets.option_names import refuse_unknown

DEFAULT_PROMPT_TOKENS = 1024
DEFAULT_NEW_TOKENS = 1024


class GaudiOptions(BaseModel):
    """The deployment that a checkpoint is made ready for.

    Args:
        card: Generation of the card.
        cards: Cards that share the model, by tensor parallelism at load.
        batch: Sequences in a batch.
        prompt_tokens: The longest prompt; None for 1024.
        new_tokens: The longest answer; None for 1024. A model with fewer positions than both
            together gets less, see `shortened`.
        lengths: A file of prompt and answer lengths to choose buckets by; None for a
            distribution that is even up to ``prompt_tokens`` and ``new_tokens``.
        kv_cache: How keys and values are held.
        activations: With FP8 weights, whether inputs are scaled by what calibration measured or
            by each token's own largest.
        inc: Whether to add what neural-compressor needs to make FP8 of BF16 weights at load.
        graphs: Whether to export ``decode.pt2`` and ``prefill-*.pt2``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    card: Literal["gaudi1", "gaudi2", "gaudi3"] = "gaudi2"
    cards: int = Field(1, ge=1)
    batch: int = Field(1, ge=1)
    prompt_tokens: int | None = Field(None, ge=1)
    new_tokens: int | None = Field(None, ge=1)
    lengths: Path | None = None
    kv_cache: Literal["bf16", "fp8"] = "bf16"
    activations: Literal["static", "dynamic"] = "static"
    inc: bool = False
    graphs: bool = True

    @property
    def hardware(self) -> Card:
        """The card's figures."""
        return CARDS[self.card]

    def longest_prompt(self, config: DecoderConfig) -> int:
        """Tokens of the longest prompt, as many of them as the model has positions for."""
        return self._tokens(config)[0]

    def context(self, config: DecoderConfig) -> int:
        """Slots of the KV cache: the longest prompt and the longest answer."""
        return sum(self._tokens(config))

    def shortened(self, config: DecoderConfig) -> str | None:
        """What a user should know where the model cannot hold the tokens that were asked for."""
        prompt, new = self._tokens(config)
        if (self.prompt_tokens or prompt, self.new_tokens or new) == (prompt, new):
            return None
        return (
            f"made for prompts of {prompt} and answers of {new} tokens, since the model has "
            f"{config.max_positions} positions"
        )

    def _tokens(self, config: DecoderConfig) -> tuple[int, int]:
        """The longest prompt and answer; where both do not fit, an answer may have half."""
        prompt = self.prompt_tokens or DEFAULT_PROMPT_TOKENS
        new = self.new_tokens or DEFAULT_NEW_TOKENS
        if prompt + new > config.max_positions:
            new = min(new, max(1, config.max_positions // 2))
            prompt = min(prompt, max(1, config.max_positions - new))
        return prompt, new


def parse_options(given: Mapping[str, Any]) -> GaudiOptions:
    """Read the options of an artifact.

    Raises:
        UsageError: One is unknown, or has a value it cannot have.
    """
    refuse_unknown("gaudi", given, GaudiOptions.model_fields)
    try:
        options = GaudiOptions.model_validate(dict(given))
    except ValidationError as error:
        fault = error.errors()[0]
        raise UsageError(
            f"{fault['loc'][0]} is not a setting that the gaudi target can take",
            expected=fault["msg"].removeprefix("Input should be "),
            found=repr(fault["input"]),
            remedy="correct the recipe's options",
        ) from error
    if options.lengths is not None and not options.lengths.is_file():
        raise UsageError(
            "lengths is not a file that can be read",
            expected="a file of prompt and answer lengths, from the folder that convert runs in",
            found=str(options.lengths),
        )
    if options.kv_cache == "fp8" and options.hardware.fp8_largest is None:
        raise UsageError(
            f"{options.hardware.title} has no FP8",
            found="kv_cache: fp8",
            remedy="choose kv_cache: bf16, or another card",
        )
    return options
