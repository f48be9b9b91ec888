"""What a card holds, against a second reading of how DeepSpeed slices: tensor by tensor."""

import pytest

from convert.architectures import architecture_of
from convert.unread_weights import unread_weights
from passes.quantize import Policy, Quantize
from targets.gaudi.slicing import footprint, uneven_heads
from tests.support.published import LLAMA_7B

BF16 = Policy(default="bf16", embeddings="bf16", head="bf16", allowed=("bf16",), overrides=(),
              vectors="bf16")  # fmt: skip

BLOOM = {
    "architectures": ["BloomForCausalLM"],
    "model_type": "bloom",
    "n_layer": 2,
    "hidden_size": 96,
    "n_head": 6,
    "vocab_size": 131,
}


def llama(**changes):
    return {**LLAMA_7B, "num_hidden_layers": 2, **changes}


def footprint_of(raw):
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    graph = architecture.build(config, unread_weights(architecture.parameters(config), raw))
    Quantize(BF16)(graph)
    return config, footprint(graph)


def sliced_by_deepspeed(raw, cards):
    """Bytes of the fullest rank: `get_shard_size` of each linear layer, all else whole."""
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    shapes = dict(architecture.parameters(config))
    if config.tied and cards > 1:
        shapes["lm_head.weight"] = (config.vocab, config.hidden)

    def part(width, by_heads, rank):
        pieces = config.kv_heads if by_heads else width // 64
        size = width // pieces
        return (pieces // cards + (rank < pieces % cards)) * size

    def held(name, shape, rank):
        if len(shape) == 1 or "embed" in name:
            return shape
        if name == "lm_head.weight":
            return shape[0], part(shape[1], False, rank)
        by_heads = ".mlp." not in name
        summed = ("o_proj", "down_proj", "dense", "dense_4h_to_h")
        if name.split(".")[-2] in summed:
            return shape[0], part(shape[1], by_heads, rank)
        return part(shape[0], by_heads, rank), shape[1]

    def nbytes(rank):
        sizes = [held(name, shape, rank) for name, shape in shapes.items()]
        return 2 * sum(size[0] * (size[1] if len(size) == 2 else 1) for size in sizes)

    return max(nbytes(rank) for rank in range(cards))


WIDE = {"hidden_size": 384, "intermediate_size": 320, "num_attention_heads": 6}


@pytest.mark.parametrize("cards", [1, 2, 3])
@pytest.mark.parametrize(
    "raw",
    [
        llama(**WIDE, num_key_value_heads=6, head_dim=64),
        llama(**WIDE, num_key_value_heads=3, head_dim=64),
        {**BLOOM, "hidden_size": 384},
        {**BLOOM, "hidden_size": 384, "tie_word_embeddings": False},
    ],
    ids=["llama", "grouped", "bloom", "bloom-untied"],
)
def test_a_card_holds_what_deepspeed_gives_the_fullest_rank(raw, cards):
    config, weights = footprint_of(raw)
    assert sum(weights.on_a_card(config, cards)) == sliced_by_deepspeed(raw, cards)


def test_more_cards_than_heads_of_keys_hold_a_copy_of_one():
    config, weights = footprint_of(llama(**WIDE, num_key_value_heads=2, head_dim=64))
    two, six = (weights.on_a_card(config, cards)[0] for cards in (2, 6))
    assert weights.attention // 2 < two
    assert weights.attention // 2 < six < two


def test_a_token_reads_all_weights_but_a_table_of_rows():
    config, untied = footprint_of(llama())
    everything = sum(untied.on_a_card(config, 1))
    assert untied.read_for_a_token(config, 1) == everything - untied.embedding
    config, tied = footprint_of(BLOOM)
    assert tied.read_for_a_token(config, 1) == sum(tied.on_a_card(config, 1))
    assert tied.read_for_a_token(config, 2) < tied.read_for_a_token(config, 1)


def test_cards_that_do_not_divide_the_heads_are_named():
    config, _ = footprint_of(llama(num_attention_heads=6, num_key_value_heads=2, hidden_size=48))
    assert uneven_heads(config, 3) is None
    assert "4 cards cannot share 6 attention heads" in (uneven_heads(config, 4) or "")
    assert "one of 1, 2, 3, 6" in (uneven_heads(config, 4) or "")
