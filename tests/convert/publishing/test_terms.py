import pytest

from convert.publishing.terms import terms_of


@pytest.mark.parametrize(
    "name", ["apache-2.0", "MIT", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "gpl-3.0", "mpl-2.0"]
)
def test_open_licences_raise_no_concern(name):
    assert terms_of(name).concern is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (None, "not known"), ("", "not known"), ("unknown", "not known"),
        ("cc-by-nd-4.0", "altered versions"), ("cc-by-nc-nd-4.0", "altered versions"),
        ("cc-by-nc-4.0", "commercial"), ("cc-by-nc-sa-4.0", "commercial"),
        ("llama3.1", "one of its own"), ("gemma", "one of its own"), ("openrail", "one of its own"),
        ("bigscience-bloom-rail-1.0", "one of its own"), ("Our House Terms", "one of its own"),
    ],
)  # fmt: skip
def test_others_do(name, words):
    assert words in terms_of(name).concern


def test_the_hub_gets_identifiers_of_its_own_list():
    assert terms_of("Apache-2.0").header() == {"license": "apache-2.0"}
    assert terms_of(None).header() == {"license": "unknown"}
    assert terms_of("House").header() == {"license": "other", "license_name": "House"}
