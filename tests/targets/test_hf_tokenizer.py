import pytest

from convert.errors import RunnerCrashedError
from targets.hf_tokenizer import HfTokenizer
from tests.support.tokenizer import save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_no_special_token_is_added_or_parsed(folder):
    tokenizer = HfTokenizer.load(folder)
    ids = tokenizer.encode("a</s>b")
    assert len(ids) == len("a</s>b")
    assert not {0, 1} & set(ids)


def test_the_chat_template_ends_with_the_generation_prompt(folder):
    text = HfTokenizer.load(folder).chat([{"role": "user", "content": "hi"}])
    assert text == "<s>user: hi</s><s>assistant:"


def test_without_a_template_there_is_no_chat(tmp_path):
    tokenizer = HfTokenizer.load(save_tokenizer(tmp_path, template=False))
    assert tokenizer.chat([{"role": "user", "content": "hi"}]) is None


def test_a_folder_without_a_tokenizer_has_none(tmp_path):
    assert HfTokenizer.load(tmp_path) is None


def test_a_tokenizer_that_cannot_be_loaded_is_an_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(RunnerCrashedError, match="tokenizer"):
        HfTokenizer.load(tmp_path)


def test_a_prompt_has_the_special_tokens_that_come_before_a_text_not_those_behind(tmp_path):
    tokenizer = HfTokenizer.load(save_tokenizer(tmp_path, around=True))
    plain = tokenizer.encode("ab")
    assert tokenizer.prompt_ids("ab") == [0, *plain]
    assert tokenizer.prompt_ids("ab", rendered=True) == plain
    assert tokenizer.prompt_ids("") == [0]


def test_special_tokens_in_a_prompt_are_parsed_and_stay(folder):
    tokenizer = HfTokenizer.load(folder)
    assert tokenizer.prompt_ids("<s>a</s>") == [0, *tokenizer.encode("a"), 1]
    assert tokenizer.prompt_ids("") == []


def test_ids_become_text_without_special_tokens(folder):
    tokenizer = HfTokenizer.load(folder)
    assert tokenizer.decode([0, *tokenizer.encode("é a"), 1]) == "é a"
