"""A tiny random Llama of transformers, with and without a tokenizer, and fakes of a target."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def bare_checkpoint(tmp_path_factory):
    """A random Llama without a tokenizer, weights scaled up so that it has preferences."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(10)
    folder = tmp_path_factory.mktemp("bare")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(bare_checkpoint, tmp_path_factory):
    """The same with a byte-level tokenizer and a chat template."""
    import shutil

    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("full") / "tiny"
    shutil.copytree(bare_checkpoint, folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2}
    vocabulary.update({letter: 3 + i for i, letter in enumerate(alphabet)})
    vocabulary["he"] = len(vocabulary)
    backend = Tokenizer(BPE(vocab=vocabulary, merges=[("h", "e")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    return folder
