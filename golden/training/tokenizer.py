"""A byte-level BPE tokenizer, trained on the corpus, in the form that SmolLM2 made common.

Digits stand alone and there is no prefix space; llama.cpp calls this pre-tokenizer `smollm`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from golden.training.corpus import TURN_END, TURN_START

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DOCUMENT = "<|endoftext|>"
SPECIAL_TOKENS = (DOCUMENT, TURN_START, TURN_END)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def train_tokenizer(
    texts: Iterable[str], *, vocabulary: int, longest: int
) -> PreTrainedTokenizerFast:
    """Learn merges from texts.

    Args:
        texts: What the merges are counted on. Any other text can still be encoded, byte by byte.
        vocabulary: Number of tokens: the special tokens, the 256 bytes and the merges.
        longest: Number of positions of the model that will use it.

    Returns:
        A tokenizer that adds no token of its own to a text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
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
        bos_token=DOCUMENT,
        eos_token=TURN_END,
        pad_token=DOCUMENT,
        unk_token=DOCUMENT,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=longest,
    )
