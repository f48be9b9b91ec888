"""A tokenizer and names of weights as the checkpoints of BLOOM and BLOOMZ on the hub have them.

The tokenizer is a byte-level BPE that cuts a text at spaces, parentheses, bars and the marks that
end a sentence in several scripts, and keeps digits together; llama.cpp calls it `bloom`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

UNKNOWN, BEGINNING, END, PADDING = "<unk>", "<s>", "</s>", "<pad>"
SPECIAL_TOKENS = (UNKNOWN, BEGINNING, END, PADDING)

# The brackets within the brackets are a set of their own, whose marks join the outer set.
_WORD = r" ?[^(\s|[.,!?…。，、।۔،])]+"  # noqa: RUF001


def stored_name(name: str) -> str:
    """What the hub's files call a weight of `BloomForCausalLM`: they hold the inner model."""
    return name.removeprefix("transformer.")


def train_tokenizer(
    texts: Iterable[str], *, vocabulary: int, longest: int
) -> PreTrainedTokenizerFast:
    """Learn merges from texts.

    Args:
        texts: What the merges are counted on. Any other text can still be encoded, byte by byte.
        vocabulary: Number of tokens: the special tokens, the 256 bytes and the merges.
        longest: Number of tokens that the model is trained on.

    Returns:
        A tokenizer that adds no token of its own to a text.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORD), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokenizer.post_processor = processors.ByteLevel(
        add_prefix_space=True, trim_offsets=False, use_regex=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGINNING,
        eos_token=END,
        pad_token=PADDING,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=longest,
    )
