"""The page: whole, readable by another parser, and harmless whatever a checkpoint is called."""

from __future__ import annotations

import re
import sys

import html5lib
import pytest

from convert.manifest import ExpertCoverage, GateRecord, WeightingRecord
from convert.reporting import charts
from convert.reporting.page import page
from tests.support import reports

SECTIONS = (
    *("gate", "closeness", "sample", "weights", "size", "conversion"),
    *("decoding", "coverage", "origin"),
)


def parsed(text):
    """By a parser of its own, which takes no fault."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(text)


def words(tree):
    return " ".join(" ".join(tree.itertext()).split())


@pytest.fixture(scope="module")
def shown():
    made = reports.manifest()
    return page(made, reports.data(made))


def test_every_section_is_there_and_linked(shown):
    tree = parsed(shown)
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    links = [element.get("href") for element in tree.iter("a")]
    assert links == [f"#{name}" for name in SECTIONS]


def test_figures_stand_beside_their_thresholds(shown):
    text = words(parsed(shown))
    assert "mean KL 0.154 at most 0.6 26 % passed" in text
    assert "top-1 agreement 0.823 at least 0.6 44 % passed" in text
    assert "perplexity ratio 1.16 at most 1.7 23 % passed" in text
    assert "stored weights model.layers.0.self_attn.q_proj.weight: stored weights 0.09" in text
    assert "chat template the chat template was not compared" in text


def test_it_tells_all_that_is_known(shown):
    text = words(parsed(shown))
    for told in (
        "q6_k does not fit rows of 32 weights",
        "125 tokens a second, 8 ms each",
        "333.3 tokens a second at most",
        "The capital of France is Paris, of course.",
        "5 kB of the checkpoint in 2.1 s, 2.38 kB/s",
        "a processor, 2 cores, 25.8 GB",
        "hash the checkpoint 0.3 s",
        "prompt 1, token 5",
    ):
        assert told in text


def test_it_tells_how_many_tokens_experts_saw():
    seen = ExpertCoverage(experts=8, threshold=8, few={"model.layers.0.mlp.experts.3": 2})
    for few, told in ((seen.few, "1 of 8 experts saw fewer than 8 tokens"), ({}, "at least 8 of")):
        weighting = WeightingRecord(
            text_sha256="ab",
            tokens=128,
            moments_sha256="cd",
            experts=seen.model_copy(update={"few": few}),
        )
        made = reports.manifest(weighting=weighting)
        text = words(parsed(page(made, reports.data(made))))
        assert "weighted by 128 tokens" in text
        assert told in text


def test_charts_say_what_they_show_and_have_the_colours_of_the_page(shown):
    tree = parsed(shown)
    drawn = [element for element in tree.iter() if str(element.tag).endswith("svg")]
    labels = [element.get("aria-label") for element in drawn]
    assert len(labels) == 6
    assert all(
        len(label) > 20 and element.get("role") == "img"
        for label, element in zip(labels, drawn, strict=True)
    )
    inside = "".join(shown.split("<svg")[1:])
    colours = {colour for colour in re.findall(r"#[0-9a-f]{6}", inside) if colour != "#000000"}
    assert not colours
    assert "var(--accent)" in inside


def test_nothing_is_fetched_and_nothing_runs(shown):
    tree = parsed(shown)
    assert not list(tree.iter("script"))
    assert not [element for element in tree.iter() if element.get("src") or element.get("onload")]
    links = [element.get("href") for element in tree.iter() if element.get("href")]
    assert all(link.startswith("#") for link in links)
    assert "url(h" not in shown
    assert "@import" not in shown
    assert "default-src 'none'" in shown


def test_tables_have_captions_and_headings_of_rows_and_columns(shown):
    tree = parsed(shown)
    tables = list(tree.iter("table"))
    assert len(tables) > 8
    for table in tables:
        assert table.find("caption") is not None
        assert all(cell.get("scope") in ("row", "col") for cell in table.iter("th"))


def test_equal_data_give_equal_pages(shown):
    made = reports.manifest()
    assert page(made, reports.data(made)) == shown


@pytest.mark.parametrize("name", [" ".join(reports.HOSTILE[:3]), " ".join(reports.HOSTILE[3:])])
def test_names_and_texts_of_strangers_stay_text(name):
    details = reports.details(
        continuation=name,
        departures=(reports.Departure(0, 1, name, name, name, 0.5, 0.5, 0.5, 1.0),),
        prompts=(reports.PromptDetails((0.1, 2.0), (True, False), (name, name)),),
    )
    sample = reports.Sample((1,), (2,), name, name)
    gate = GateRecord(
        status="passed",
        result=reports.result(sample=sample).to_json(),
        worst_tensor=name,
        weight_error=0.5,
    )
    tensors = [name, f"model.layers.0.{name}.weight", "model.layers.0.mlp.weight"]
    source = reports.SourceRecord(label=name, digest="d", files=())
    made = reports.manifest(tensors, gate=gate, source=source, notes=(name,))
    text = page(made, reports.data(made, details=details, failures=(name,)))
    tree = parsed(text)
    assert not list(tree.iter("script"))
    assert not list(tree.iter("img"))
    assert {element.get("onload") for element in tree.iter()} == {None}
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text
    )
    visible = words(tree)
    if name.isascii() and name.isprintable():
        assert visible.count(" ".join(name.split())) > 8
    text.encode()


def test_without_matplotlib_the_tables_say_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = reports.manifest()
    text = page(made, reports.data(made))
    assert "<svg" not in text
    assert "matplotlib is not installed" in text
    assert "q6_k does not fit rows of 32 weights" in words(parsed(text))


@pytest.mark.usefixtures("undrawn")
def test_of_the_manifest_alone():
    text = page(reports.manifest(), None)
    told = words(parsed(text))
    assert "mean KL 0.154 at most 0.6" in told
    assert "The times of the conversion were not kept" in told
    assert "Figures by position were not kept" in told
    assert "Not recorded" in told


@pytest.mark.usefixtures("undrawn")
def test_a_refused_artifact_says_why():
    made = reports.manifest(
        gate=GateRecord(
            status="unverified",
            result=reports.result(
                overall=reports.Summary(40, 0, 0.9, 3.0, 0.5, 2.0), failures=("x",)
            ).to_json(),
        )
    )
    text = page(made, reports.data(made, failures=("mean KL 0.9 is above 0.6 by 0.3",)))
    told = words(parsed(text))
    assert "Refused. The artifact was not kept, because: mean KL 0.9 is above 0.6 by 0.3" in told
    assert "mean KL 0.9 at most 0.6 100 % or more failed" in told


@pytest.mark.usefixtures("undrawn")
def test_an_artifact_that_was_not_checked_says_so():
    made = reports.manifest(gate=GateRecord(status="unverified"))
    told = words(parsed(page(made, reports.data(made, details=None))))
    assert "Not checked. The gate was not run" in told
    assert "The artifact was not run." in told


def test_a_fault_in_drawing_is_not_hidden(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(charts, "size_by_kind", broken)
    with pytest.raises(ZeroDivisionError):
        page(reports.manifest(), None)
