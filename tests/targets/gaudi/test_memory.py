"""The plans of the published deployments, from their configurations alone."""

import functools
import json

import pytest

from convert.architectures import architecture_of
from convert.errors import DoesNotFitError
from convert.unread_weights import unread_weights
from passes.quantize import Policy, Quantize
from targets.gaudi.cards import CARDS, GB
from targets.gaudi.memory import plan_memory
from targets.gaudi.options import parse_options
from tests.support.published import BLOOM_7B, BLOOM_176B, LLAMA_7B, LLAMA_13B, LLAMA_70B, LLAMA_405B


@functools.cache
def stored_graph(text, linear):
    raw = json.loads(text)
    architecture = architecture_of(raw)
    config = architecture.parse(raw)
    graph = architecture.build(config, unread_weights(architecture.parameters(config), raw))
    policy = Policy(default=linear, embeddings="bf16", head="bf16", allowed=("bf16", linear),
                    overrides=(), vectors="bf16")  # fmt: skip
    Quantize(policy)(graph)
    return config, graph


def plan(raw, linear="bf16", **options):
    return plan_memory(*stored_graph(json.dumps(raw), linear), parse_options(options))


def part(plan, kind):
    return sum(part.nbytes for part in plan.parts if part.kind.startswith(kind))


@pytest.mark.parametrize(
    ("raw", "options", "parameters"),
    [
        (LLAMA_7B, {"card": "gaudi2"}, 6_738_415_616),
        (LLAMA_13B, {"card": "gaudi2"}, 13_015_864_320),
        (BLOOM_7B, {"card": "gaudi1"}, 7_069_016_064),
    ],
    ids=["llama-7b", "llama-13b", "bloomz-7b1"],
)
def test_published_deployments_on_one_card_fit(raw, options, parameters):
    planned = plan(raw, **options)
    planned.require_fit()
    assert part(planned, "weights") == 2 * parameters
    assert planned.capacity == CARDS[options["card"]].memory


def test_bloomz_176b_fits_8_cards_and_lacks_memory_on_4():
    eight = plan(BLOOM_176B, cards=8)
    eight.require_fit()
    # 176 billion weights of 2 bytes; an eighth of the layers, the whole embedding.
    assert 51 * GB < part(eight, "weights") < 52 * GB
    four = plan(BLOOM_176B, cards=4)
    with pytest.raises(DoesNotFitError, match=f"{four.shortfall:,} bytes short") as caught:
        four.require_fit()
    assert four.shortfall == four.needed - 96 * GB > 0
    assert part(four, "HPU graphs") == 0.02 * 96 * GB
    assert "use 8 cards" in str(caught.value)


def test_llama_405b_needs_as_many_cards_as_optimum_habana_says():
    """16 Gaudi2 or 8 Gaudi3 (examples/text-generation/README.md), for answers of 2048 tokens."""
    tokens = {"prompt_tokens": 128, "new_tokens": 2048}
    assert plan(LLAMA_405B, card="gaudi2", cards=16, **tokens).fits
    assert plan(LLAMA_405B, card="gaudi3", cards=8, **tokens).fits
    eight = plan(LLAMA_405B, card="gaudi2", cards=8, **tokens)
    assert not eight.fits
    assert "use 16 cards" in eight.remedy
    assert not plan(LLAMA_405B, card="gaudi3", cards=4, **tokens).fits


def test_llama_70b_in_8_bits_fits_8_gaudi3():
    fp8 = plan(LLAMA_70B, "q8_0", card="gaudi3", cards=8, kv_cache="fp8", batch=16)
    fp8.require_fit()
    assert part(fp8, "KV cache") == 16 * 80 * 2 * 2048 * 128
    bf16 = plan(LLAMA_70B, card="gaudi3", cards=8, batch=16)
    assert part(bf16, "KV cache") == 2 * part(fp8, "KV cache")
    assert part(bf16, "weights") > 1.7 * part(fp8, "weights")


def test_the_cache_is_counted_in_blocks_and_twice_where_it_is_copied():
    elements = 2 * 32 * 32 * 128
    tokens = {"prompt_tokens": 100, "new_tokens": 29}
    assert part(plan(LLAMA_7B, **tokens), "KV cache") == 256 * elements * 2
    assert part(plan(LLAMA_7B, batch=3, **tokens), "KV cache") == 3 * 256 * elements * 2
    assert part(plan(BLOOM_7B, **tokens), "KV cache") == 2 * 256 * (2 * 30 * 32 * 128) * 2


def test_what_is_left_is_shared_as_vllm_shares_it():
    planned = plan(LLAMA_7B)
    fixed = sum(part(planned, kind) for kind in ("weights", "workspace", "runtime"))
    left = 96 * GB - fixed
    # gpu_memory_utilization 0.9, VLLM_GRAPH_RESERVED_MEM 0.1
    assert part(planned, "margin") == pytest.approx(0.1 * left, abs=1)
    assert part(planned, "HPU graphs") == pytest.approx(0.09 * left, abs=2)


def test_a_batch_that_does_not_fit_is_refused_and_a_smaller_one_is_not():
    plan(LLAMA_7B, batch=48).require_fit()
    with pytest.raises(DoesNotFitError, match="bytes short"):
        plan(LLAMA_7B, batch=64).require_fit()


def test_scores_are_counted_where_no_kernel_spares_them():
    by_hand = {"hidden": 4 * 4096, "qkv": 2 * 3 * 4096, "mlp": 3 * 11008}
    activations = 1024 * 2 * sum(by_hand.values())
    logits = 32000 * (2 + 4)
    assert part(plan(LLAMA_7B), "workspace") == activations + logits
    scores = 32 * 1024 * 1024 * (2 + 2 + 4 + 2)
    first = plan(LLAMA_7B, card="gaudi1", new_tokens=1)
    assert part(first, "workspace") == activations + logits + scores


def test_no_number_of_cards_may_help():
    huge = plan(LLAMA_7B, batch=100_000)
    assert not huge.fits
    assert huge.remedy == (
        "use cards with more memory, a smaller batch, or shorter prompts and answers"
    )


def test_a_card_is_not_read_faster_than_its_memory():
    planned = plan(LLAMA_7B, prompt_tokens=128, new_tokens=256)
    read = 2 * (6_738_415_616 - 32000 * 4096) + 384 * 2 * 32 * 32 * 128 * 2
    assert f"at least {1000 * read / 2.45e12:.3g} ms a token" in planned.figures[0]


def test_cards_that_share_heads_unevenly_are_named():
    assert len(plan(LLAMA_70B, cards=8).notes) == 1
    assert "8 heads of keys on 16 cards" in plan(LLAMA_70B, cards=16).notes[1]
    assert "3 cards cannot share 64" in plan(LLAMA_70B, cards=3).notes[1]


def test_more_tokens_than_positions_are_shortened_and_said_so():
    planned = plan(LLAMA_7B, prompt_tokens=4000, new_tokens=100)
    assert "3,996 + 100 tokens" in planned.title
    assert "prompts of 3996 and answers of 100 tokens" in planned.notes[1]
