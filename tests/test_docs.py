"""What README and docs say exists: commands, options, links, pages, names."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer
import yaml

import convert
from bench.encodings_page import PAGE, page
from convert.cli import app
from convert.recipe import Artifact, Gate, Recipe
from tests.support.runs import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
CODE = re.compile(r"```.*?```|`[^`\n]+`|^ {4}\$? ?convert [^\n]*$", re.DOTALL | re.MULTILINE)
OTHER_PROGRAMS = {
    *("--embeddings-type", "--token-embedding-type", "--output-tensor-type", "--tensor-type"),
    *("--in-file", "--upgrade", "--build", "--target", "--ir", "--text", "--port", "--constraint"),
    *("--pre", "--guided", "--head", "--address"),
}
"""Options of other programs that pages show, besides those of ours."""


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def commands():
    """Every command of ours, by its words, and its options."""
    found = {}

    def walk(command, words):
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                walk(inner, (*words, name))
            return
        names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        found[words] = {"--help", "--debug", *(name for name in names if name[0] == "-")}

    walk(typer.main.get_command(app), ())
    return found


COMMANDS = commands()


def mentioned(text):
    """Each `convert ...` in code, its line continued where a shell would."""
    for block in CODE.findall(text):
        for line in block.strip("`").replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|\s|\$ |`)convert ((?:[a-z]|-h).*)", line)
            if found:
                yield re.split(r"\s#|\||&&", found[1])[0].split()


def command_of(words):
    for length in (2, 1):
        if tuple(words[:length]) in COMMANDS:
            return tuple(words[:length])
    return None


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_commands_and_options_exist(path):
    for words in mentioned(path.read_text(encoding="utf-8")):
        command = command_of([word.strip("`,;.") for word in words])
        groups = {known[0] for known in COMMANDS}
        assert command or words[0].strip("`,;.") in groups, f"convert {' '.join(words)}"
        options = [re.match(r"--?[a-z][a-z-]*", word) for word in words]
        for option in [match[0] for match in options if match]:
            if command:
                assert option in COMMANDS[command], f"{option} of convert {' '.join(words)}"


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_options_in_the_text_are_somebodys(path):
    own = set().union(*COMMANDS.values()) | OTHER_PROGRAMS
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in re.findall(r"`(--[a-z][a-z-]+)", text):
        assert block in own, block


def anchors(path):
    """As mkdocs and GitHub make them of headings."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-")
        for heading in headings
    }


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (path.parent / place).resolve() if place else path
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def test_every_page_is_in_the_navigation():
    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    config = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)

    def leaves(item):
        if isinstance(item, str):
            return [item]
        inner = item.values() if isinstance(item, dict) else item
        return [leaf for each in inner for leaf in leaves(each)]

    listed = leaves(config["nav"])
    examples = DOCS / "examples"
    there = [path.relative_to(DOCS).as_posix() for path in PAGES if examples not in path.parents]
    assert sorted(listed) == sorted(there)


def test_the_page_about_encodings_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m bench.encodings_page"


def test_every_key_of_a_recipe_is_explained():
    text = (DOCS / "recipes.md").read_text()
    explained = set(re.findall(r"`([a-z0-9_]+)`", text))
    for model in (Recipe, Artifact, Gate):
        assert set(model.model_fields) <= explained, model.__name__


def test_every_function_of_the_python_api_is_documented():
    text = (DOCS / "python.md").read_text()
    for name in convert.__all__:
        assert re.search(rf"::: convert\.\w+\.{name}\b|convert\.{name}\b", text), name


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    site = (tmp_path / "python" / "index.html").read_text()
    assert "Convert a checkpoint into artifacts" in site
    assert "class PowerOfTwo" in re.sub(
        "<[^>]+>", "", (tmp_path / "extending" / "index.html").read_text()
    )
    fetched = re.compile(r'(?:src|href)="https?://[^"]*\.(?:js|css)"')
    assert not any(fetched.search(each.read_text()) for each in tmp_path.rglob("*.html"))
