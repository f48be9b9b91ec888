"""The linter of recipes: what is wrong, at which line, without a model."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.__main__ import main
from convert.recipe_linting import lint, lint_text
from convert.recipe_marks import Mark, marks
from golden.gate import ROOT

GOOD = """\
name: r
model: organisation/model
artifacts:
  - format: gguf
    encoding: q4_0
    overrides: [{pattern: "*.down_proj.weight", encoding: q8_0}]
    gate: {mean_kld: 0.3}
  - format: openvino
    encoding: int4_g48
"""


def found(text, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return [(finding.line, finding.message) for finding in lint(path)]


def test_every_shipped_recipe_is_clean():
    shipped = sorted((ROOT / "recipes").glob("*.yaml"))
    assert len(shipped) > 10
    assert [str(finding) for path in shipped for finding in lint(path)] == []


def test_a_good_recipe_is_clean(tmp_path):
    assert found(GOOD, tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("gguf", "ggufs", 4, "artifacts.0.format: there is no target 'ggufs'"),
        ("q4_0", "q4_9", 5, "artifacts.0.encoding: there is no encoding 'q4_9'"),
        ("q4_0", "fp8", 5, "does not store fp8"),
        ("q8_0", "int4", 6, "artifacts.0.overrides.0.encoding: the target does not store int4"),
        ("mean_kld: 0.3", "mean_kld: -1", 7, "greater than 0"),
        (
            "mean_kld",
            "mean_kl",
            7,
            "artifacts.0.gate.mean_kl: there is no such key; did you mean 'mean_kld'",
        ),
        ("int4_g48", "int4_g48\n    options: {cards: 2}", 10, "artifacts.1.options"),
        ("int4_g48", "int4_g48\n    head: nonsense", 10, "artifacts.1.head: there is no encoding"),
        ("int4_g48", "int4_g48\n    passes: [x]", 10, "artifacts.1.passes.0: no package adds"),
        ("name: r", "name: r\nprompts: none.txt", 2, "prompts: there is no none.txt beside"),
        ("name: r", "name: r\nlora: [adapter]", 2, "lora.0: there is no adapter"),
        ("name: r", "name: r\nname: s", 2, "name is there twice"),
        ("name: r", "revision: [", 3, "is not YAML: expected"),
        ("name: r", "nam: r", 1, "name: Field required"),
        ("  - format: openvino", "  - format: gguf\n    name: gguf-q4_0\n    #", 3, "share the"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, old, new, line, says):
    findings = found(GOOD.replace(old, new, 1), tmp_path)
    assert any(at == line and says in what for at, what in findings), findings


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    text = GOOD.replace("gguf", "nonsense").replace("int4_g48", "int3")
    assert [line for line, _ in found(text, tmp_path)] == [4, 9]


@pytest.mark.parametrize("text", ["", "- a", "3", "a: b: c", "\x00", "&a [*a]", "{? [x] : y}"])
def test_what_is_no_recipe_is_one_finding(tmp_path, text):
    assert len(found(text, tmp_path)) >= 1


def test_a_file_that_is_none_is_a_finding(tmp_path):
    assert "cannot be read" in lint(tmp_path / "none.yaml")[0].message
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in lint(tmp_path / "bytes.yaml")[0].message


def test_aliases_of_aliases_and_deep_nests_end_soon(tmp_path):
    bomb = "a0: &a0 [1]\n"
    bomb += "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(20))
    started = time.process_time()
    for text in (bomb, GOOD + bomb, "[" * 1000):
        assert lint_text(text, tmp_path / "r.yaml")
    assert time.process_time() - started < 5


@settings(max_examples=30, deadline=None)
@given(st.text(st.sampled_from("nameformt: gf{}[]&*-\n\t'\"#|>!%@,?0"), max_size=60))
def test_any_text_gives_findings_and_no_error(tmp_path_factory, text):
    assert lint_text(text, tmp_path_factory.getbasetemp() / "r.yaml")


def test_marks_know_keys_items_and_what_is_above():
    places = marks("a:\n  - b: 1\n    c: 2\n")
    assert places.of(("a", 0, "c")) == Mark(3, 5)
    assert places.of(("a", 0, "d", "e")) == Mark(2, 5)
    assert places.of(("x",)) == Mark(1, 1)


def test_the_command_prints_findings_and_ends_with_2(tmp_path, capsys, monkeypatch):
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_text(GOOD.replace("gguf", "::x"))
    good.write_text(GOOD)
    assert main(["lint-recipe", str(good)]) == 0
    assert main(["lint-recipe", str(good), str(bad)]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{bad}:4:5: artifacts.0.format: there is no target '::x'")
    assert "1 finding, in 1 of 2 recipes" in captured.err
    assert main(["lint-recipe", str(bad), "--json"]) == 2
    (finding,) = json.loads(capsys.readouterr().out)
    assert (finding["line"], finding["column"]) == (4, 5)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    main(["lint-recipe", str(bad)])
    (line,) = [one for one in capsys.readouterr().err.splitlines() if one.startswith("::")]
    assert line.startswith(f"::error title=recipe,file={bad},line=4::artifacts.0.format")
    assert main(["lint-recipe"]) == 2
