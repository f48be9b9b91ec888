"""Sets within sets: flat ones match the same characters, and what has no flat form is refused."""

from __future__ import annotations

import openvino
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers.pre_tokenizers import Split
from transformers import AutoTokenizer

from convert.errors import UnsupportedTokenizerError
from golden.texts import FOLDER
from targets.openvino.character_sets import flat_sets, with_flat_sets
from targets.openvino.tokenizer import converted_tokenizer

BLOOM = r" ?[^(\s|[.,!?…])]+"


@pytest.mark.parametrize(
    ("nested", "flat"),
    [
        (BLOOM, r" ?[^(\s|.,!?…)]+"),
        (r"[a[b[c]]d]", "[abcd]"),
        (r"[^\[\]a]+", r"[^\[\]a]+"),
        (r"[[:alpha:][0-9]]", "[[:alpha:]0-9]"),
        (r"\[[ab]&&", r"\[[ab]&&"),
        (r"[^\r\n\p{L}\p{N}]?\p{L}+|\s*[\r\n]+", r"[^\r\n\p{L}\p{N}]?\p{L}+|\s*[\r\n]+"),
        ("a]b", "a]b"),
        ("\\", "\\"),
    ],
)
def test_inner_members_join_the_outer_set(nested, flat):
    assert flat_sets(nested) == flat
    assert flat_sets(flat) == flat


@given(text=st.text(alphabet="ab (|).,!?…[]\n^"))
def test_a_flat_set_cuts_a_text_where_the_nested_one_did(text):
    nested, flat = (
        Split(Regex(pattern), "isolated").pre_tokenize_str(text)
        for pattern in (BLOOM, flat_sets(BLOOM))
    )
    assert flat == nested


@pytest.mark.parametrize("pattern", ["[a[^b]]", r"[\p{L}&&[a-z]]"])
def test_a_set_without_a_flat_form_is_refused(pattern):
    with pytest.raises(UnsupportedTokenizerError, match="no form") as caught:
        flat_sets(pattern)
    assert caught.value.found == pattern


def test_every_pattern_of_a_sequence_is_written_flat():
    digits = {"type": "Digits", "individual_digits": True}
    text = {"type": "Split", "pattern": {"String": "[[a]]"}, "behavior": "Isolated"}
    split = {"type": "Split", "pattern": {"Regex": "[[a]b]"}, "behavior": "Isolated"}
    step = {"type": "Sequence", "pretokenizers": [digits, text, split]}
    flat = with_flat_sets(step)
    assert flat["pretokenizers"] == [digits, text, {**split, "pattern": {"Regex": "[ab]"}}]
    assert step["pretokenizers"][2] == split


def test_spaces_between_words_are_cut_as_bloom_does(tmp_path):
    folder = FOLDER / "models" / "tiny-bloom"
    for file in converted_tokenizer(folder):
        (tmp_path / file.path).write_bytes(file.segments[0][1])
    converted = openvino.compile_model(tmp_path / "openvino_tokenizer.xml", "CPU")
    original = AutoTokenizer.from_pretrained(folder)
    for text in ("x:\n    return 1  # one\n\n\n  a", "a  (b) |c.  d", "[a]  b。 c"):
        assert converted([text])["input_ids"][0].tolist() == original(text)["input_ids"]
