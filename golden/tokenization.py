"""What the original tokenizer makes of the prompts, the parity texts and the chats."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.errors import UnsupportedTokenizerError
from golden.format import RenderedChat, TokenizedText

NO_TOKENIZER = "skip the tokenizer with --no-tokenizer"


def load(folder: Path) -> Any:
    """The tokenizer in ``folder``; no code of it is run.

    Raises:
        UnsupportedTokenizerError: There is none, or transformers cannot read it.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the backend raises bare exceptions
        raise UnsupportedTokenizerError(
            f"transformers cannot load a tokenizer from {folder.name}",
            found=(str(error).strip() or type(error).__name__).splitlines()[0],
            remedy=NO_TOKENIZER,
        ) from error


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """Ids of a prompt, with the special tokens that the tokenizer adds by default in front.

    An end-of-text token that some tokenizers append is cut off: nothing sensible follows it.
    """
    ids: list[int] = tokenizer(text)["input_ids"]
    last = tokenizer.eos_token_id
    return ids[:-1] if len(ids) > 1 and ids[-1] == last else ids


def tokenize(tokenizer: Any, texts: Sequence[str]) -> tuple[TokenizedText, ...]:
    """Each text with its ids; special tokens are neither added nor recognized."""
    return tuple(
        TokenizedText(
            text,
            tuple(
                tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            ),
        )
        for text in texts
    )


def render(
    tokenizer: Any, chats: Sequence[Sequence[Mapping[str, str]]]
) -> tuple[RenderedChat, ...]:
    """Each chat by the model's template, which transformers renders in jinja2's sandbox.

    Chats that the template refuses (a role it has no place for) are left out. So are all if the
    template prints today's date: the next day the artifact would rightly say something else.
    """
    template = tokenizer.chat_template
    if not template or "strftime_now" in str(template):
        return ()
    rendered = []
    for messages in chats:
        try:
            text = tokenizer.apply_chat_template(
                [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
            )
        except Exception:  # a template may raise anything
            continue
        rendered.append(RenderedChat(tuple(dict(message) for message in messages), text))
    return tuple(rendered)


def serialized(tokenizer: Any) -> str | None:
    """The tokenizer.json of a fast tokenizer."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return str(backend.to_str()) if backend is not None else None
