"""The page in a browser: nothing on the console, nothing too wide, nothing that axe objects to.

Needs Debian's `chromium`, or another one named by ``CHROMIUM``; the browsers that playwright itself
would download are not used.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from convert.reporting.page import page
from tests.support import reports

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Without a sandbox of its own: tests run as root, and the page is ours.
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    made = reports.manifest(layers=32)
    hostile = [
        "model.embed_tokens.weight",
        *(f"model.layers.{n}.{name}.weight" for n, name in enumerate(reports.HOSTILE)),
    ]
    odd = reports.manifest(hostile, notes=reports.HOSTILE)
    details = reports.details(continuation="".join(reports.HOSTILE))
    found = {
        "usual": page(made, reports.data(made)),
        "hostile": page(odd, reports.data(odd, details=details, failures=reports.HOSTILE)),
        "bare": page(made, None),
    }
    for name, text in found.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


def axe():
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["usual", "hostile", "bare"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page(browser, pages, name, width, scheme):
    said, asked = [], []
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    opened = context.new_page()
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("dialog", lambda dialog: said.append(dialog.message))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((pages / f"{name}.html").as_uri())
    assert len(asked) == 1
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    drawn = opened.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(e => e.getBoundingClientRect().height)"
    )
    assert len(drawn) == {"usual": 6, "hostile": 6, "bare": 1}[name]
    assert all(height > 40 for height in drawn)
    opened.add_script_tag(content=axe())
    violations = opened.evaluate("axe.run().then(found => found.violations)")
    assert not [(one["id"], one["nodes"][0]["html"]) for one in violations]
    assert not said
    context.close()


def test_without_scripts_and_in_print(browser, pages, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((pages / "usual.html").as_uri())
    assert opened.locator("svg.chart").count() == 6
    assert opened.get_by_text("mean KL divergence, nats").first.is_visible()
    opened.emulate_media(media="print", color_scheme="dark")
    assert not opened.locator("nav").is_visible()
    printed = opened.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
    context.close()
