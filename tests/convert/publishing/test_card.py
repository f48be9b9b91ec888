import yaml
from markdown_it import MarkdownIt

from convert.manifest import read_manifest
from convert.publishing.card import CardFacts, model_card
from convert.publishing.standing import Standing
from convert.publishing.terms import terms_of
from convert.recipe import Artifact
from targets import TARGETS, target
from tests.support.finished import finished_artifact, source_record

HOSTILE = "evil`|\n---\nlicense: mit\n# <script>x</script> [a](http://e.example)"


def facts(**changes):
    told = {
        "title": "tiny as gguf-q4_0",
        "folder": "gguf-q4_0",
        "fetch": "convert pull hf://org/tiny gguf-q4_0",
        "terms": terms_of("apache-2.0"),
        "base_model": "org/original",
        "languages": ("en",),
        "standing": Standing(),
    }
    return CardFacts(**{**told, **changes})


def card_of(tmp_path, *, about=None, name="gguf", **changes):
    artifact = finished_artifact(tmp_path / "artifact", derived=False, **changes)
    return model_card(read_manifest(artifact), about or facts(), target(name))


def header_of(card):
    _, header, _ = card.split("---\n", 2)
    return yaml.safe_load(header)


def test_the_header_is_what_hubs_read(tmp_path):
    assert header_of(card_of(tmp_path)) == {
        "license": "apache-2.0",
        "language": ["en"],
        "base_model": "org/original",
        "base_model_relation": "quantized",
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "tags": ["gguf", "q4_0", "tricast"],
    }


def test_it_carries_figures_thresholds_recipe_source_and_versions(tmp_path):
    source = source_record(label="org/original@" + "c" * 40)
    card = card_of(tmp_path, source=source)
    for text in (
        "| mean KL divergence, nats | 0.01 | at most 0.02 |",
        "| same most likely token | 95.0% | at least 92% |",
        "| texts that the tokenizer encodes alike | 9 of 9 | all |",
        f"commit `{'c' * 40}`",
        source.digest,
        "format: gguf\nencoding: q4_0",
        "torch 2.13.0+cpu",
        "| `q4_0` | 1 | 72 |",
        "128 tokens of a text with SHA-256",
        "- a note",
        "convert pull hf://org/tiny gguf-q4_0",
        "llama-server -m gguf-q4_0/model.gguf",
        'convert generate gguf-q4_0 "The capital of France is"',
    ):
        assert text in card
    assert "WARNING" not in card


def test_a_forced_card_says_so_before_anything_else(tmp_path):
    about = facts(standing=Standing(differs="model.gguf differs", gate="its gate was skipped"))
    card = card_of(tmp_path, about=about)
    body = card.split("---\n", 2)[2]
    assert body.index("[!WARNING]") < body.index("Stored as")
    assert "> - model.gguf differs\n> - its gate was skipped" in body
    assert "compared it with the original before" not in body


def test_a_gate_without_figures(tmp_path):
    from convert.manifest import GateRecord

    card = card_of(tmp_path, gate=GateRecord(status="unverified"))
    assert "**Not measured.**" in card


def test_a_licence_with_a_concern_says_so(tmp_path):
    card = card_of(tmp_path, about=facts(terms=terms_of("cc-by-nd-4.0")))
    assert "`cc-by-nd-4.0`. **Note:** its licence forbids" in card


def test_hostile_names_stay_texts(tmp_path):
    recipe = Artifact(format="gguf", encoding="q4_0", options={HOSTILE: HOSTILE})
    card = card_of(
        tmp_path,
        source=source_record(label=HOSTILE),
        notes=(HOSTILE,),
        recipe=recipe,
        versions={HOSTILE: HOSTILE},
        about=facts(title=HOSTILE, terms=terms_of(HOSTILE), base_model=HOSTILE),
    )
    assert header_of(card)["license"] == "other"
    html = MarkdownIt("commonmark").enable("table").render(card.split("---\n", 2)[2])
    assert "<script" not in html
    assert 'href="http://e.example"' not in html
    assert html.count("<h1>") == 1


def test_commands_can_be_copied(tmp_path):
    assert "`convert verify gguf-q4_0`" in card_of(tmp_path)


def test_the_same_twice(tmp_path):
    assert card_of(tmp_path / "a") == card_of(tmp_path / "b")


def test_every_target_is_known_to_hubs():
    assert all(target(name).library for name in TARGETS)
