"""A sentencepiece tokenizer, trained on the corpus, with added tokens as Yuan's hub models have.

Byte-pair merges with a fallback to bytes, single digits, a space in front of every text. A
checkpoint holds it as ``tokenizer.model``; the added tokens are in the settings beside it.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

DOCUMENT, ANSWER, PADDING = "<eod>", "<sep>", "<pad>"
ADDED_TOKENS = (
    *(DOCUMENT, ANSWER, PADDING, "<mask>", "<predict>"),
    *("<FIM_SUFFIX>", "<FIM_PREFIX>", "<FIM_MIDDLE>"),
)


def train_sentence_pieces(texts: list[str], folder: Path, *, vocabulary: int, longest: int) -> Any:
    """Learn pieces from texts, and write the tokenizer into a folder.

    Args:
        texts: What the merges are counted on.
        folder: Of the checkpoint.
        vocabulary: Number of pieces; the added tokens follow behind them.
        longest: Number of positions of the model that will use it.

    Returns:
        The tokenizer as transformers loads it; it adds no token of its own to a text.
    """
    import sentencepiece
    from transformers import AutoTokenizer

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.replace(ANSWER, " ") for text in texts),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocabulary,
        character_coverage=1.0,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        num_threads=1,
        minloglevel=2,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    settings = json.dumps(_settings(vocabulary, longest), indent=2, sort_keys=True)
    (folder / "tokenizer_config.json").write_text(settings + "\n", encoding="utf-8")
    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _settings(vocabulary: int, longest: int) -> dict[str, Any]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": False,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": DOCUMENT,
        "pad_token": PADDING,
        "sep_token": ANSWER,
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": longest,
        "added_tokens_decoder": {
            str(vocabulary + index): {"content": token, "special": True, **plain}
            for index, token in enumerate(ADDED_TOKENS)
        },
    }
