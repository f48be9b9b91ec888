"""The corpus is the same for the same seed, clean text, and different for another seed."""

from itertools import islice
from random import Random

from golden.training import corpus


def test_the_same_seed_gives_the_same_documents():
    assert list(islice(corpus.documents(7), 300)) == list(islice(corpus.documents(7), 300))


def test_another_seed_gives_other_documents():
    assert not set(islice(corpus.documents(7), 100)) & set(islice(corpus.documents(8), 100))


def test_the_text_is_as_long_as_asked_and_no_document_longer():
    texts = corpus.text_of(3, 20_000)
    assert sum(map(len, texts)) >= 20_000 > sum(map(len, texts[:-1]))


def test_documents_hardly_repeat():
    texts = corpus.text_of(3, 300_000)
    assert len(set(texts)) > 0.97 * len(texts)


def test_every_slot_is_filled():
    assert not {"{", "}"} & set("".join(corpus.text_of(4, 500_000)))


def test_text_is_plain_ascii_without_stray_space():
    for text in corpus.text_of(5, 100_000):
        assert text.isascii()
        assert text == text.strip()
        assert " \n" not in text


def test_a_chat_alternates_between_user_and_assistant():
    text = corpus.chat(Random(1))
    turns = text.split(corpus.TURN_START)[1:]
    roles = [turn.split("\n", 1)[0] for turn in turns]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    assert roles
    assert all(turn.rstrip("\n").endswith(corpus.TURN_END) for turn in turns)


def test_a_chat_becomes_questions_with_answers():
    chat = corpus.turn("user", "Who?") + corpus.turn("assistant", "Me.\nYou.")
    chat += corpus.turn("user", "When?") + corpus.turn("assistant", "Now.").rstrip("\n")
    written = list(corpus.questions_and_answers(chat, "<sep>"))
    assert written == ["Who?<sep>Me.\nYou.", "When?<sep>Now."]
    assert list(corpus.questions_and_answers("No chat.", " ")) == ["No chat."]
