"""Proves a vocabulary: llama.cpp must give every text the ids that transformers gives it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.errors import UnsupportedTokenizerError
from targets.gguf.header import header_bytes, new_writer
from targets.gguf.known_differences import known_difference, known_differences
from targets.gguf.parity_texts import PARITY_TEXTS
from targets.gguf.proof_texts import special_texts, token_texts
from targets.gguf.tokenizer import Tokenizer, ending_ids
from targets.gguf.vocabulary import Vocabulary, add_vocabulary

_PROMPTS = ("The capital of France is", "x")
_SECONDS = 120


@dataclass(frozen=True)
class Question:
    """What llama.cpp is asked, and the right answers.

    Args:
        texts: To be cut without special tokens in them or around them.
        expected: Their ids.
        ending: Ids that must end a generation.
        prompts: To be cut with the special tokens around them that belong there.
        expected_prompts: Their ids.
        marked: Texts with special tokens in them, to be found there.
        expected_marked: Their ids.
    """

    texts: tuple[str, ...]
    expected: tuple[tuple[int, ...], ...]
    ending: tuple[int, ...] = ()
    prompts: tuple[str, ...] = ()
    expected_prompts: tuple[tuple[int, ...], ...] = ()
    marked: tuple[str, ...] = ()
    expected_marked: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What llama.cpp made of a vocabulary.

    Args:
        difference: The first difference, in words; None if there is none.
        ending: Those of the question's ids that end a generation.
        marked: The first difference in a text with special tokens; None if there is none.
    """

    difference: str | None
    ending: tuple[int, ...] = ()
    marked: str | None = None


def proven(candidates: Sequence[Vocabulary], tokenizer: Tokenizer) -> tuple[Vocabulary, list[str]]:
    """The first candidate that llama.cpp tokenizes with as transformers does, and notes.

    Raises:
        UnsupportedTokenizerError: None of them is.
    """
    notes: list[str] = []
    question = _question(tokenizer, notes)
    if importlib.util.find_spec("llama_cpp") is None:
        notes.append(
            f"llama.cpp is not installed, so the pre-tokenizer {candidates[0].pre!r} was chosen by"
            " its structure and not proven by ids; pip install 'tricast[arm]' to prove it"
        )
        return _ended(candidates[0], question, (), notes), notes
    differences: list[str] = []
    for candidate in candidates:
        verdict = ask(candidate, question)
        if verdict.difference is None:
            if verdict.marked is not None:
                notes.append(
                    f"llama.cpp reads special tokens in a text otherwise: {verdict.marked}"
                )
            return _ended(candidate, question, verdict.ending, notes), notes
        differences.append(f"{candidate.model}/{candidate.pre}: {verdict.difference}")
    raise UnsupportedTokenizerError(
        "llama.cpp does not tokenize as this tokenizer does",
        expected="the same ids for every text",
        found="; ".join(differences),
        remedy="choose another target for this model",
    )


def ask(candidate: Vocabulary, question: Question) -> Verdict:
    """Tokenize in llama.cpp, in a process of its own, and compare."""
    writer = new_writer("llama")
    add_vocabulary(writer, candidate)
    asked = json.dumps(
        {
            "texts": question.texts,
            "prompts": question.prompts,
            "marked": question.marked,
            "ids": question.ending,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vocabulary.gguf"
        path.write_bytes(header_bytes(writer))
        try:
            run = subprocess.run(
                [sys.executable, "-m", "targets.gguf.prove_vocab", str(path)],
                input=asked.encode(),
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        except subprocess.TimeoutExpired:
            return Verdict(f"llama.cpp did not answer in {_SECONDS} s")
    if run.returncode != 0:
        last = run.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return Verdict(f"llama.cpp refuses it ({' '.join(last) or f'exit {run.returncode}'})")
    answer = json.loads(run.stdout)
    wrong = _difference(question.texts, question.expected, answer["texts"])
    around = _difference(question.prompts, question.expected_prompts, answer["prompts"])
    inside = _difference(question.marked, question.expected_marked, answer["marked"])
    return Verdict(wrong or around, tuple(answer["ending"]), inside)


def _difference(
    texts: Sequence[str], expected: Sequence[tuple[int, ...]], answered: list[list[int]]
) -> str | None:
    for text, right, given in zip(texts, expected, answered, strict=True):
        if list(right) != given:
            at = next(
                (i for i, (a, b) in enumerate(zip(right, given, strict=False)) if a != b),
                min(len(right), len(given)),
            )
            return (
                f"{text[:60]!r} should be {list(right[at : at + 6])} from token {at} on,"
                f" is {given[at : at + 6]}"
            )
    return None


def _question(tokenizer: Tokenizer, notes: list[str]) -> Question:
    def comparable(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(text for text in texts if known_difference(text, tokenizer.state) is None)

    notes.extend(known_differences(tokenizer.state))
    texts = comparable([*PARITY_TEXTS, *token_texts(tokenizer)])
    prompts, marked = comparable(_PROMPTS), comparable(special_texts(tokenizer))
    return Question(
        texts,
        tuple(tuple(tokenizer.encode(text)) for text in texts),
        tuple(ending_ids(tokenizer.folder)),
        prompts,
        tuple(tuple(tokenizer.fast(text)["input_ids"]) for text in prompts),
        marked,
        tuple(tuple(tokenizer.encode_marked(text)) for text in marked),
    )


def _ended(
    vocabulary: Vocabulary, question: Question, ending: Sequence[int], notes: list[str]
) -> Vocabulary:
    """Name the tokens that must end a generation and that llama.cpp would not know of."""
    unknown = [i for i in question.ending if i not in ending and i != vocabulary.ids.get("eos")]
    ids = {**vocabulary.ids, **dict(zip(("eot", "eom"), unknown, strict=False))}
    if len(unknown) > 2:
        notes.append(f"llama.cpp will not stop at the tokens {unknown[2:]}")
    return replace(vocabulary, ids=ids)
