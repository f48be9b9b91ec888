"""What a user wants to know the latency of: sequences at once, and how long they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from convert.architectures.base import DecoderConfig
from convert.errors import UsageError
from targets.base import Target
from targets.deployment import Workload


@dataclass(frozen=True)
class Asked:
    """What is asked of every artifact; None leaves what its target takes for usual.

    Args:
        batch: Sequences at once.
        context: Tokens of the prompt and the answer together.
        prompt: Tokens of the prompt.
    """

    batch: int | None = None
    context: int | None = None
    prompt: int | None = None

    def require(self, config: DecoderConfig) -> None:
        """Refuse what no model, or not this one, can do.

        Raises:
            UsageError: A number is below 1, or there are more tokens than positions.
        """
        for name, value in (
            ("--batch", self.batch),
            ("--context", self.context),
            ("--prompt-tokens", self.prompt),
        ):
            if value is not None and value < 1:
                raise UsageError(f"{name} is no count", expected="1 or more", found=str(value))
        most = max(self.context or 0, (self.prompt or 0) + 1)
        if most > config.max_positions:
            raise UsageError(
                "the model has not so many positions",
                expected=f"at most {config.max_positions:,} tokens of prompt and answer together",
                found=f"{most:,}",
                remedy="choose a shorter --context or --prompt-tokens",
            )
        if self.context is not None and self.prompt is not None and self.prompt >= self.context:
            raise UsageError(
                "a context holds the prompt and at least one token of an answer",
                expected=f"--context above {self.prompt:,}",
                found=f"{self.context:,}",
            )

    def applied(self, work: Workload, config: DecoderConfig) -> Workload:
        """A deployment with what is asked in the place of what is usual."""
        answer, prompt, context = work.context - work.prompt, self.prompt, self.context
        if context is None:
            # A longer prompt takes the context with it, as far as the model has positions.
            context = work.context
            if prompt is not None:
                context = min(config.max_positions, prompt + max(1, answer))
        if prompt is None:
            prompt = work.prompt if context == work.context else context - min(answer, context // 2)
        return replace(work, batch=self.batch or work.batch, prompt=max(1, prompt), context=context)

    def options(
        self, options: Mapping[str, Any], into: Target, work: Workload
    ) -> Mapping[str, Any]:
        """An artifact's options with what is asked, where its target has settings for that.

        Args:
            work: The deployment with what is asked.
        """
        if self == Asked():
            return options
        wanted = {
            "batch": work.batch,
            "prompt_tokens": work.prompt,
            "new_tokens": work.context - work.prompt,
        }
        return {**options, **{key: wanted[key] for key in wanted if key in into.option_names}}
