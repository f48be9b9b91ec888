import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from convert.publishing.markdown import code, fenced, inline

READER = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE = [
    "<script>alert(1)</script>", "a|b", "`x` `` y", "[a](http://evil.example)", "![](x)",
    "**bold** _it_", "line\nbreak\r\n# title", "https://evil.example", "www.evil.example",
    "@somebody", "a\u202eb", "&lt;b&gt;", "\\`", "~~x~~", "<!-- -->", "$x$", "",
]  # fmt: skip


def text_of(html):
    plain = re.sub(r"</?(p|code)>", "", html).strip()
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        plain = plain.replace(entity, character)
    return plain


def one_line(text):
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", " ", text).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_an_inline_text_shows_as_it_is_and_does_nothing(text):
    html = READER.render(f"before {inline(text)} after")
    assert set(re.findall(r"<(\w+)", html)) <= {"p"}
    assert text_of(html).split() == f"before {one_line(text)} after".split()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_code_span_shows_as_it_is(text):
    html = READER.render(f"before {code(text)} after")
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "code"}


@pytest.mark.parametrize("text", HOSTILE)
def test_neither_breaks_out_of_a_table(text):
    table = f"| a | b |\n|---|---|\n| {inline(text)} | {code(text)} |\n"
    html = READER.render(table)
    assert html.count("<tr>") == 2
    assert html.count("<td") == 2


@given(st.text(alphabet="`~ab\n", max_size=40))
def test_nothing_closes_a_fence_but_its_own(text):
    (block, paragraph, *_rest) = READER.parse(f"{fenced(text, 'sh')}\n\nafter\n")
    assert block.type == "fence"
    assert block.content.rstrip("\n") == text.rstrip()
    assert paragraph.type == "paragraph_open"


def test_a_fence_has_no_language_of_a_stranger():
    assert str(fenced("x", "sh onload=x")).startswith("```\n")
