"""Fixtures of the tests that open explorer pages in a browser."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from tests.helpers.browser import browser_program, started_browser

if TYPE_CHECKING:
    from tests.helpers.explorer_pages import ExplorerPage


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the system's browser once for the tests of a file."""
    program = browser_program()
    if program is None:
        pytest.skip("no browser: install chromium or google-chrome")
    with started_browser(program) as browser:
        yield browser


@pytest.fixture(scope="session")
def explorer_page(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], ExplorerPage]":
    """Return a function that returns a page of tiny networks by its name; each page is written once."""
    from tests.helpers.explorer_pages import write_page

    folder: Path = tmp_path_factory.mktemp("explorer")
    return cache(lambda name: write_page(name, folder))
