"""The runner: a cache that grows and is forgotten, the tokenizer, the chat template, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import processors

from convert.errors import RunnerCrashedError, UnsupportedError
from targets.gguf.file_names import FILE
from targets.gguf.run import GgufRunner
from targets.gguf.target import GgufTarget
from targets.gguf.tokenizer import Tokenizer
from targets.hf_tokenizer import HfTokenizer
from tests.support.batches import require_batches
from tests.targets.gguf.checkpoints import byte_level, checkpoint, convert, ids, save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    convert(checkpoint(root / "in", "llama"), root / "in", root / "out")
    return root


def test_the_sequence_is_kept_until_reset(folder: Path) -> None:
    tokens = ids(20)
    with GgufTarget().runner(folder / "out", threads=1) as runner:
        whole = runner.feed(tokens)
        runner.reset()
        np.testing.assert_allclose(runner.feed(tokens), whole, atol=1e-4)
        continued = runner.feed(tokens[:1])
        runner.reset()
        assert np.abs(runner.feed(tokens[:1]) - continued).max() > 0.1


def test_a_float16_cache_changes_little(folder: Path) -> None:
    tokens = ids(20)
    path = folder / "out" / FILE
    with GgufRunner(path, threads=1) as usual, GgufRunner(path, threads=1, exact_cache=True) as own:
        apart = np.abs(usual.feed(tokens) - own.feed(tokens)).max()
    assert 0 < apart < 0.05


def test_ids_and_chat_are_those_of_transformers(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder / "in")
    messages = [{"role": "user", "content": "Is <|im_end|> 12 é?"}]
    with GgufTarget().runner(folder / "out", threads=1) as runner:
        assert runner.tokenize("a <|im_end|> b") == tokenizer.encode("a <|im_end|> b")
        assert runner.chat(messages) == tokenizer.fast.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )


def test_a_batch_equals_its_sequences_alone(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    convert(model, tmp_path / "in", tmp_path / "out")
    with GgufRunner(tmp_path / "out" / FILE, threads=1, exact_cache=True) as runner:
        runner.feed(ids(5))
        require_batches(runner, model, tolerance=1e-4)
        require_batches(runner, model, tolerance=1e-4, lengths=(1, 5))
        # Prompts that do not fit into one call of llama.cpp, in a cache that just holds them.
        runner.reserve(252)
        require_batches(runner, model, tolerance=1e-4, lengths=(250, 1, 199, 230))
        runner.reset()
        assert runner.feed(ids(2)).shape == (2, model.config.vocab)
        with pytest.raises(UnsupportedError, match="so many sequences"):
            runner.begin([[1]] * 10_000)
        assert len(runner.begin([[1]] * 2)) == 2


def test_a_prompt_is_what_the_original_makes_of_it(folder: Path) -> None:
    original = HfTokenizer.load(folder / "in")
    assert original is not None
    with GgufTarget().runner(folder / "out", threads=1) as runner:
        for text in ("<|im_start|>a é", "a<|im_end|>", "", "b 12"):
            assert runner.prompt_ids(text) == original.prompt_ids(text)
        text = "é 12 " * 200
        assert runner.detokenize([1, *original.encode(text), 2]) == text
        assert {0, 2} <= runner.stop_ids
        assert 5 not in runner.stop_ids


def test_what_a_tokenizer_puts_before_a_text_and_not_what_it_puts_behind(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "in", "llama")
    tokenizer = byte_level("smollm")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|endoftext|> $A <|im_end|>",
        special_tokens=[("<|endoftext|>", 0), ("<|im_end|>", 2)],
    )
    save_tokenizer(tokenizer, tmp_path / "in")
    convert(model, tmp_path / "in", tmp_path / "out")
    with GgufTarget().runner(tmp_path / "out", threads=1) as runner:
        plain = runner.tokenize("ab")
        assert runner.prompt_ids("ab") == [0, *plain]
        assert runner.prompt_ids("ab", rendered=True) == plain


def test_a_text_longer_than_the_context_is_named(folder: Path) -> None:
    with (
        GgufRunner(folder / "out" / FILE, threads=1, context=256) as runner,
        pytest.raises(RunnerCrashedError, match="longer than the context"),
    ):
        runner.feed(ids(300))


def test_a_damaged_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((folder / "out" / FILE).read_bytes()[:-4096])
    with pytest.raises(RunnerCrashedError, match=r"refuses model\.gguf"):
        GgufTarget().runner(tmp_path, threads=1)
