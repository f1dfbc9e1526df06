"""Tests of the documentation site, built and opened from disk in a browser."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.browser import TIMEOUT, browser_program, started_browser

ROOT = Path(__file__).parent.parent
SITE = ROOT / "build/docs"
PROGRAM = browser_program()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "docs/conf.py").is_file(), reason="the source distribution has no docs/"),
    pytest.mark.skipif(PROGRAM is None, reason="needs chromium or google-chrome"),
]


@pytest.fixture(scope="module")
def pages() -> list[Path]:
    """Build the site, of which only what has changed since ``make docs`` is built again; return its pages."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "2"]
    subprocess.run([*command, "-d", "build/doctrees", "docs", "build/docs"], cwd=ROOT, check=True)
    return sorted(SITE.rglob("*.html"))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    assert PROGRAM is not None
    with started_browser(PROGRAM) as browser:
        opened = browser.new_page(viewport={"width": 1400, "height": 900})
        opened.set_default_timeout(3 * TIMEOUT)  # some pages are long
        yield opened


def test_pages_need_no_server_and_fit_the_window(pages: list[Path], page: Page) -> None:
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"{page.url}: {message.text}"))
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))
    page.on("requestfailed", lambda request: problems.append(f"{page.url}: {request.url} cannot be read"))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    widths = [400, 1400]
    for file in pages:
        page.goto(file.as_uri())
        widths.reverse()  # the first width is the last one of the previous page: one change of width for each page
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            contents = page.evaluate("() => document.documentElement.scrollWidth")
            if contents > width:
                problems.append(f"{file.relative_to(SITE)}: {contents} pixels wide in a window of {width}")
    assert len(pages) > 50
    assert problems == []
    assert [url for url in requests if not url.startswith((SITE.as_uri(), "data:"))] == []


def test_search_finds_a_word_of_a_page(pages: list[Path], page: Page) -> None:
    page.goto(f"{(SITE / 'search.html').as_uri()}?q=retraction")
    results = page.locator("#search-results li a")
    expect(results.first).to_be_visible()
    assert any(text.startswith("Orthogonal") for text in results.all_text_contents())
