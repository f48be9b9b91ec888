# ruff: noqa: RUF001
from __future__ import annotations

import json
import random

import pytest

from convert.errors import BadHeaderError, UnsupportedTokenizerError
from convert.gguf_tokenizer import write_tokenizer
from convert.gguf_vocabulary import NORMAL, UNUSED, Vocabulary, read_vocabulary
from convert.gguf_words import _SPLITTINGS, WordSplitting, word_splitting
from convert.sources.gguf_file import read_gguf
from tests.support.gguf_files import SPECIAL, TinyGguf

TEXTS = [
    "The capital of France is Paris.",
    "  two  spaces\n\n\nnew\tlines \t x ",
    "def f(x):\n    return x**2 + 3.14159 # ünïcödé",
    "你好，世界！今天是2024年。",
    "Привет, мир! ١٢٣ ½ Ⅷ ²",
    "👩‍👩‍👧‍👦 🇫🇷 emoji 🤖",
    "it's we'll I'VE don't He'D 'S",
    "a\u00a0b\u2003c\u200bd",
    "\r\n\r\n x\r\n",
    "0123456789 1,234.56 $^~|<=>+",
    "<|im_start|>user\nhi<|im_end|>\n",
    " ",
    "",
]


def texts():
    source = random.Random(0)
    letters = "ab 1 2\n\t '.,éç你👩٣ Z\u00a0-_$s,;ß"
    return TEXTS + ["".join(source.choice(letters) for _ in range(30)) for _ in range(150)]


def rebuilt(tiny, tmp_path):
    from transformers import AutoTokenizer

    gguf = read_gguf(tiny.write(tmp_path / "tiny.gguf"))
    write_tokenizer(gguf, tmp_path, vocab=len(tiny.tokens), max_positions=128)
    return AutoTokenizer.from_pretrained(tmp_path)


def llama_cpp_tokenizer(path):
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return lambda text: model.tokenize(text.encode(), add_bos=False, special=True)


@pytest.mark.parametrize("pre", sorted(_SPLITTINGS))
def test_ids_are_those_of_llama_cpp_for_every_known_pre_tokenizer(tmp_path, pre):
    tokenizer = rebuilt(TinyGguf(pre=pre, layers=1), tmp_path)
    reference = llama_cpp_tokenizer(tmp_path / "tiny.gguf")
    for text in texts():
        assert tokenizer.encode(text, add_special_tokens=False) == reference(text), repr(text)


def sentencepiece_model():
    """A vocabulary as SentencePiece makes it: scores fall with the order of the joins."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    types = [2, 3, 3] + [6] * 256
    words = ["▁the", "▁th", "▁t", "he", "th", "er", "▁ca", "cap", "▁cap", "ital", "it", "al"]
    words += ["▁of", "of", "▁▁", "▁▁▁▁", "in", "▁in", "é", "és"]
    letters = sorted({letter for word in words for letter in word} | set("abcdefgh 0123456789."))
    pieces = [*words, *(letter for letter in letters if letter != " ")]
    pieces = list(dict.fromkeys(pieces))
    scores = [0.0] * len(tokens) + [-float(n) for n in range(len(pieces))]
    return [*tokens, *pieces], [*types, *([1] * len(pieces))], scores


@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_ids_are_those_of_llama_cpp(tmp_path, prefix):
    tokens, types, scores = sentencepiece_model()
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_space_prefix": prefix,
    }
    tiny = TinyGguf(tokens=tokens, types=types, metadata=metadata, pre=None, layers=1)
    tokenizer = rebuilt(tiny, tmp_path)
    reference = llama_cpp_tokenizer(tmp_path / "tiny.gguf")
    for text in [*texts(), "the capital of the cap in the  café", "then  there    is"]:
        assert tokenizer.encode(text, add_special_tokens=False) == reference(text), repr(text)
    assert tokenizer.encode("the")[0] == 1
    text = "the capital  of é 你"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


@pytest.mark.parametrize(
    ("metadata", "pre", "ends"),
    [
        ({}, "smollm", ([], [])),
        ({}, "llama-bpe", ([1], [])),
        ({"tokenizer.ggml.add_bos_token": False}, "llama-bpe", ([], [])),
        ({"tokenizer.ggml.add_bos_token": True}, "smollm", ([1], [])),
        ({"tokenizer.ggml.add_eos_token": True}, "gpt-2", ([], [2])),
        (
            {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True},
            "qwen2",
            ([1], [2]),
        ),
    ],
)
def test_beginning_and_end_are_added_as_the_file_says(tmp_path, metadata, pre, ends):
    tokenizer = rebuilt(TinyGguf(metadata=metadata, pre=pre), tmp_path)
    plain = tokenizer.encode("Paris", add_special_tokens=False)
    assert tokenizer.encode("Paris") == ends[0] + plain + ends[1]
    assert tokenizer("a", "b").input_ids == (
        ends[0]
        + tokenizer.encode("a", add_special_tokens=False)
        + ends[1]
        + ends[0]
        + tokenizer.encode("b", add_special_tokens=False)
        + ends[1]
    )


def test_special_tokens_and_chat_template_are_carried_over(tmp_path):
    metadata = {
        "tokenizer.chat_template": "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}",
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }
    tokenizer = rebuilt(TinyGguf(metadata=metadata), tmp_path)
    names = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert names == (SPECIAL[1], SPECIAL[2], SPECIAL[2], SPECIAL[0])
    assert tokenizer.apply_chat_template([{"content": "hi", "role": "user"}], tokenize=False) == (
        "<|im_start|>hi"
    )
    assert tokenizer.decode([1, 2], skip_special_tokens=True) == ""


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_the_text_back(tmp_path, text):
    tokenizer = rebuilt(TinyGguf(), tmp_path)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_user_defined_tokens_are_found_in_text_and_shown(tmp_path):
    tiny = TinyGguf()
    tiny.tokens = [*tiny.tokens, "<tool>"]
    tiny.types = [*tiny.types, 4]
    tokenizer = rebuilt(tiny, tmp_path)
    assert len(tiny.tokens) - 1 in tokenizer.encode("a<tool>b")
    assert tokenizer.decode([len(tiny.tokens) - 1], skip_special_tokens=True) == "<tool>"


def test_placeholders_of_a_padded_embedding_are_left_out(tmp_path):
    tiny = TinyGguf()
    number = len(tiny.tokens)
    tiny.tokens = [*tiny.tokens, f"[PAD{number}]"]
    tiny.types = [*tiny.types, UNUSED]
    tokenizer = rebuilt(tiny, tmp_path)
    assert len(tokenizer) == number


def test_the_written_vocabulary_is_the_files(tmp_path):
    tiny = TinyGguf()
    rebuilt(tiny, tmp_path)
    model = json.loads((tmp_path / "tokenizer.json").read_text())["model"]
    assert sorted(model["vocab"], key=model["vocab"].__getitem__) == tiny.tokens
    assert [" ".join(merge) for merge in model["merges"]] == tiny.merges


@pytest.mark.parametrize("model", ["bert", "t5", "rwkv"])
def test_other_kinds_of_tokenizer_are_refused(tmp_path, model):
    with pytest.raises(UnsupportedTokenizerError, match=model):
        rebuilt(TinyGguf(metadata={"tokenizer.ggml.model": model}), tmp_path)


def test_an_unknown_pre_tokenizer_is_refused(tmp_path):
    with pytest.raises(UnsupportedTokenizerError, match="'tekken'"):
        rebuilt(TinyGguf(pre="tekken"), tmp_path)


def test_a_file_that_names_none_has_the_default(tmp_path):
    gguf = read_gguf(TinyGguf(pre=None).write(tmp_path / "tiny.gguf"))
    assert word_splitting(gguf) is _SPLITTINGS["default"]


def test_splitting_by_digits_cuts_numbers_into_digits():
    cut = WordSplitting((r"\p{N}", " ?[a-z]+")).pre_tokenizer()
    pieces = [piece for piece, _ in cut.pre_tokenize_str("ab 12")]
    assert pieces == ["ab", "Ġ", "1", "2"]


class TestBrokenVocabularies:
    def refused(self, tmp_path, error=BadHeaderError, **changes):
        tiny = TinyGguf()
        for name, value in changes.items():
            setattr(tiny, name, value)
        with pytest.raises(error) as caught:
            rebuilt(tiny, tmp_path)
        return str(caught.value)

    def test_no_tokens(self, tmp_path):
        gguf = read_gguf(TinyGguf().write(tmp_path / "tiny.gguf"))
        metadata = {k: v for k, v in gguf.metadata.items() if k != "tokenizer.ggml.tokens"}
        with pytest.raises(UnsupportedTokenizerError, match="no tokenizer"):
            read_vocabulary(type(gguf)(gguf.path, 3, metadata, {}), 10)

    def test_a_token_twice(self, tmp_path):
        tokens = [*TinyGguf().tokens[:-1], SPECIAL[0]]
        assert "twice" in self.refused(tmp_path, tokens=tokens, merges=[])

    def test_types_of_another_length(self, tmp_path):
        assert "types" in self.refused(tmp_path, types=[1, 2, 3])

    def test_a_merge_of_unknown_tokens(self, tmp_path):
        assert "'x yz'" in self.refused(tmp_path, merges=["x yz"])
        assert "merge" in self.refused(tmp_path, merges=["noblank"])

    def test_an_embedding_of_another_length(self, tmp_path):
        gguf = read_gguf(TinyGguf().write(tmp_path / "tiny.gguf"))
        with pytest.raises(BadHeaderError, match="contradicts") as caught:
            read_vocabulary(gguf, 7)
        assert "7 rows" in str(caught.value)

    def test_a_special_token_out_of_range(self, tmp_path):
        metadata = {"tokenizer.ggml.padding_token_id": 10**6}
        assert "padding_token_id" in self.refused(tmp_path, metadata=metadata)

    def test_a_beginning_that_is_not_named(self, tmp_path):
        gguf = read_gguf(TinyGguf(pre="llama-bpe").write(tmp_path / "tiny.gguf"))
        metadata = {k: v for k, v in gguf.metadata.items() if not k.endswith("bos_token_id")}
        sizes = {"vocab": len(TinyGguf().tokens), "max_positions": 128}
        with pytest.raises(BadHeaderError, match="does not name"):
            write_tokenizer(type(gguf)(gguf.path, 3, metadata, {}), tmp_path, **sizes)


def test_joins_are_best_score_first():
    vocabulary = Vocabulary(["a", "b", "ab", "ba", "aba"], [NORMAL] * 5, [0, 0, -2, -1, -3], [])
    assert vocabulary.joins() == [("b", "a"), ("a", "b"), ("a", "ba"), ("ab", "a")]
