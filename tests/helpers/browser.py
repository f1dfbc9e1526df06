"""A browser for the tests of pages: Chromium or Chrome of the system, driven by Playwright."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
"""Names of the browser, in the order in which they are tried."""

OPTIONS = (
    "--no-sandbox",  # the sandbox does not start as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Options of the browser: no GPU, and no connections of its own."""

TIMEOUT = 20_000
"""Milliseconds that a page has for an action, on a busy machine."""

expect.set_options(timeout=TIMEOUT)

PENDING = re.compile("…")
"""A part of the sentence about the accuracy, until the accuracy is known."""

PANELS = ("answer", "state", "plane", "memory", "change")
"""The panels of the explorer, by the ids of their elements."""


def browser_program() -> str | None:
    """Return the path of the system's browser; None without one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def started_browser(program: str) -> Iterator[Browser]:
    """Start a browser without windows, and stop it at the end.

    Args:
        program: The path of the browser.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(OPTIONS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """An explorer page that is open in a browser.

    Attributes:
        page: The page.
        problems: Console messages and errors of the page so far.
        requests: The URLs that the page has requested so far.
    """

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def find(self, selector: str) -> Locator:
        """Return the elements that match a CSS selector."""
        return self.page.locator(selector)

    def part(self, panel: str, name: str, run: int = 0) -> Locator:
        """Return a part of a panel: the element with this name among those of a run."""
        return self.find(f"#{panel} .run").nth(run).locator(f"[data-part~={name}]")

    def settle(self) -> None:
        """Wait until the page has computed everything that it shows."""
        for score in self.find("#change [data-part=score]").all():
            expect(score).not_to_have_text(PENDING)
        unfinished = self.find("#memory .run.stale, #memory .run:has-text('computing')")
        expect(unfinished).to_have_count(0)

    def row(self, name: str) -> str:
        """Return the letters of a row of the time line, such as ``input`` or ``answer``."""
        return "".join(self.find(f"#time-line tr.{name} td").all_text_contents())

    def numbers(self, panel: str) -> Any:
        """Return the numbers of a panel that its button saves."""
        return json.loads(self.saved(panel, "JSON").read_text(encoding="utf-8"))

    def saved(self, panel: str, button: Literal["PNG", "JSON"]) -> Path:
        """Save a panel by its button; return the path of the file.

        Chromium refuses the eleventh file that a page saves in a short time, so a visit saves at most ten.
        """
        with self.page.expect_download() as download:
            self.find(f"#{panel}").get_by_role("button", name=button, exact=True).click()
        assert download.value.suggested_filename == f"{panel}.{button.lower()}"
        return Path(download.value.path())

    def shown(self) -> dict[str, Any]:
        """Return everything that the page shows: its text, the values of its controls, its pictures and its URL."""
        self.settle()
        values = "elements => elements.map(element => element.value)"
        pictures = "elements => elements.filter(({ width }) => width).map(element => element.toDataURL())"
        return {
            "text": self.find("main").inner_text(),
            "message": self.find("#message").inner_text(),
            "controls": self.find("input:not(#link), textarea, select").evaluate_all(values),
            "pictures": self.find("canvas").evaluate_all(pictures),
            "fragment": self.page.url.partition("#")[2],
        }

    def follow(self, fragment: str) -> None:
        """Follow a link within the page: replace the fragment of its URL, and wait until the page has read it."""
        self.page.evaluate(
            """fragment => new Promise(resolve => {
                addEventListener("hashchange", () => resolve(), { once: true });
                location.hash = fragment;
            })""",
            fragment,
        )

    def prefer(self, scheme: Literal["light", "dark"]) -> None:
        """Change the colour scheme that the reader prefers, and wait until the page is drawn."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)))")
        # The page redraws in the event of the changed scheme, which comes before the next frame.
        self.page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")

    def width(self) -> int:
        """Return the width of the contents of the page in pixels."""
        return int(self.page.evaluate("() => document.documentElement.scrollWidth"))

    def is_hacked(self) -> bool:
        """Return whether a script of a hostile text has run."""
        return bool(self.page.evaluate("() => 'hacked' in window"))


@contextmanager
def visit(
    browser: Browser, file: Path, fragment: str = "", width: int = 1400, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Visit]:
    """Open an explorer page. At the end, check that it reported no problem and requested only its own file.

    Args:
        browser: The browser.
        file: The page.
        fragment: The fragment of the URL, without ``#``.
        width: The width of the window in pixels.
        scheme: The colour scheme that the reader prefers.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
    context.set_default_timeout(TIMEOUT)
    opened = Visit(context.new_page())
    opened.page.on("console", lambda message: opened.problems.append(message.text))
    opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
    context.on("request", lambda request: opened.requests.append(request.url))
    try:
        opened.page.goto(file.as_uri() + (f"#{fragment}" if fragment else ""))
        yield opened
        assert opened.problems == []
        assert {url.partition("#")[0] for url in opened.requests} == {file.as_uri()}
    finally:
        context.close()
