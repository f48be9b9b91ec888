"""The runner: a cache that grows and is forgotten, the tokenizer, the chat template, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convert.errors import RunnerCrashedError
from targets.gguf.file_names import FILE
from targets.gguf.run import GgufRunner
from targets.gguf.target import GgufTarget
from targets.gguf.tokenizer import Tokenizer
from tests.targets.gguf.checkpoints import checkpoint, convert, ids


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
