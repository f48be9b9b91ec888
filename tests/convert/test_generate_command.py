"""`convert generate` from the command line: what it reads, prints and writes."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest

from convert import generate_command
from convert.__main__ import main
from convert.datasets import Text
from convert.generate_command import Drawing, Source
from convert.generating import Generation
from convert.sampling import Sampling


@pytest.fixture
def asked(monkeypatch):
    """What `generate` is asked for; it makes a record of each text."""
    seen = []

    def generate(artifact, request, *, threads, start=0):
        seen.append(SimpleNamespace(artifact=artifact, request=request, start=start))
        for index, text in list(enumerate(request.texts))[start:]:
            if text.content == "stop":
                raise KeyboardInterrupt
            yield {"index": index, "text": f"{text.content} é", "new_ids": [1, 2]}

    monkeypatch.setattr(generate_command, "generate_records", generate)
    return seen


@pytest.fixture
def artifact(monkeypatch):
    monkeypatch.setattr(
        Generation, "settings", lambda self, artifact: {"texts": [*map(str, self.texts)]}
    )
    return "a"


def data_set(folder, *texts, column="content"):
    path = folder / "texts.jsonl"
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in texts))
    return str(path)


def test_a_prompt_is_continued_in_plain_text(asked, capsys):
    assert main(["generate", "a", "Once upon"]) == 0
    assert capsys.readouterr().out == "Once upon é\n"
    request = asked[0].request
    assert request.texts == [Text("Once upon", "the prompt")]
    assert (request.prompt_tokens, request.new_tokens, request.batch) == (None, 50, 1)
    assert (request.chat, request.sampling, request.stop) == (False, None, True)


def test_a_prompt_may_come_from_a_file_or_from_standard_input(asked, tmp_path, monkeypatch):
    (tmp_path / "p.txt").write_text("zwölf\n", encoding="utf-8")
    assert main(["generate", "a", "--prompt-file", str(tmp_path / "p.txt")]) == 0
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert main(["generate", "a", "-"]) == 0
    assert [one.request.texts[0].content for one in asked] == ["zwölf\n", "piped"]


def test_a_data_set_is_printed_as_json_lines(asked, capsys, tmp_path):
    name = data_set(tmp_path, "a", "b", "c", column="news")
    options = ["--column", "news", "--prompt-tokens", "16", "--new-tokens", "9", "--batch", "8"]
    options += ["--limit", "2", "--ignore-eos", "--top-k", "4", "--seed", "7"]
    assert main(["generate", "a", "--dataset", name, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["a é", "b é"]
    request = asked[0].request
    assert (request.prompt_tokens, request.new_tokens, request.batch) == (16, 9, 8)
    assert (request.sampling, request.stop) == (Sampling(top_k=4, seed=7), False)


def test_a_file_of_records_is_gone_on_with_after_an_interruption(asked, capsys, tmp_path, artifact):
    out = tmp_path / "out.jsonl"
    arguments = ["generate", artifact, "--dataset", data_set(tmp_path, "a", "b", "stop")]
    arguments += ["--out", str(out)]
    assert main(arguments) == 130
    assert "2 texts are kept" in capsys.readouterr().err
    assert not out.exists()
    assert main(arguments) == 130
    assert [one.start for one in asked] == [0, 2]
    data_set(tmp_path, "a", "c")
    assert main(arguments) == 2
    assert "--restart" in capsys.readouterr().err
    assert main([*arguments, "--restart"]) == 0
    found = capsys.readouterr()
    assert found.out == f"{out}\n"
    assert "2 texts, 4 new tokens" in found.err
    assert [json.loads(line)["text"] for line in out.read_text("utf-8").splitlines()] == [
        "a é",
        "c é",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "one thing to continue"),
        (["x", "--dataset", "y.jsonl"], 2, "one thing to continue"),
        (["x", "--chat", "--prompt-tokens", "3"], 2, "chat template"),
        (["x", "--temperature", "0"], 2, "--temperature is outside"),
        (["--prompt-file", "no-such-file"], 6, "no file no-such-file"),
        (["--dataset", "no-such.jsonl"], 6, "no file no-such.jsonl"),
        (["x", "--new-tokens", "0"], 2, "new-tokens"),
        (["x", "--batch", "0"], 2, "batch"),
    ],
)
def test_options_that_make_no_sense(asked, capsys, arguments, code, words):
    assert main(["generate", "a", *arguments]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not asked


def test_what_is_not_utf8_is_named(asked, capsys, tmp_path):
    (tmp_path / "p.txt").write_bytes(b"\xff")
    assert main(["generate", "a", "--prompt-file", str(tmp_path / "p.txt")]) == 6
    assert "p.txt is not UTF-8" in capsys.readouterr().err


def test_nothing_is_left_where_nothing_could_be_made(converted, capsys, tmp_path):
    out = tmp_path / "out" / "x.jsonl"
    name = data_set(tmp_path, "a", "")
    arguments = ["generate", str(converted.artifacts["onnx-f32"]), "--dataset", name]
    assert main([*arguments, "--out", str(out), "--threads", "1"]) == 6
    assert "line 2 of texts.jsonl is empty" in capsys.readouterr().err
    assert not list(out.parent.iterdir())


def test_what_is_no_artifact_is_refused(capsys, tmp_path):
    assert main(["generate", str(tmp_path), "x"]) == 6
    assert main(["generate", str(tmp_path), "x", "--out", str(tmp_path / "out")]) == 6
    assert "no manifest.json" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_chance_is_asked_for_by_any_of_its_options():
    assert Drawing(None, None, None, 5).sampling() is None
    assert Drawing(None, None, 0.5, 5).sampling() == Sampling(top_p=0.5, seed=5)
    assert Drawing(0.7, 3, None, 0).sampling() == Sampling(0.7, 3)
    assert Source("x", None, None, "content", None).texts() == [Text("x", "the prompt")]
