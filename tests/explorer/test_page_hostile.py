"""Explorer pages with hostile texts, and links of strangers: nothing is executed, and the page works."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Browser, expect

from rnn_tasks.cores import Elman
from rnn_tasks.explorer.write import page, page_of_runs
from rnn_tasks.networks import LanguageNetwork
from rnn_tasks.tasks import Text
from tests.helpers.browser import PANELS, Visit, visit
from tests.helpers.explorer_pages import ExplorerPage, trained_run
from tests.helpers.explorer_runs import data_of

pytestmark = pytest.mark.slow

Pages = Callable[[str], ExplorerPage]

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\u2028<!--<script>"
    '"><svg onload="window.hacked=1"></title></style></template>javascript:window.hacked=1 ${window.hacked=1}\x07\u202e'
)
"""A text that would run a script in a page that takes texts for HTML or JavaScript."""


def use_everything(opened: Visit) -> None:
    """Use the controls that show names and symbols, and check that no text became an element."""
    before = opened.find("script, img, svg").count()
    opened.find("#about summary").click()
    if opened.find("#sequence").is_visible():
        opened.find("#sequence").select_option("1")
    for order in opened.part("state", "order").locator("option").all():
        opened.part("state", "order").select_option(order.get_attribute("value"))
    for part in opened.part("state", "part").locator("option").all():
        opened.part("state", "part").select_option(part.get_attribute("value"))
    if opened.part("state", "cut").is_visible():
        opened.part("state", "cut").click()
    opened.settle()
    for panel in PANELS:
        assert opened.numbers(panel)["panel"] == panel
    opened.find("#copy-link").click()
    assert not opened.is_hacked()
    assert opened.find("script, img, svg").count() == before


def test_hostile_text_file_is_not_executed(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text(HOSTILE * 60, encoding="utf-8")
    task = Text(str(file), cleaning="none", prefix="</script>", batch_size=8, sequence_length=20)
    task.setup("fit")
    run = trained_run(task, LanguageNetwork(partial(Elman, hidden_size=8), task.spec), steps=20)
    run = replace(
        run,
        label=HOSTILE,
        folder=Path("/runs") / HOSTILE.replace("/", "\u2215"),
        checkpoint=Path(HOSTILE.replace("/", "\u2215")),
        config={"model": {"init_args": {"core": {"class_path": HOSTILE}}}, "constraint": {"class_path": HOSTILE}},
        summary=run.summary | {name: HOSTILE for name in ("task", "verdict", "steps", "solved_at", "seed")},
    )
    path = tmp_path / "page.html"
    path.write_text(page_of_runs([run]), encoding="utf-8")
    with visit(browser, path) as opened:
        opened.find("#text").fill(HOSTILE)
        assert opened.row("input").startswith("</script><script>window.hacked=1</script><img␣src=x␣onerror=")
        assert "</script><script>window.hacked=1</script>" in opened.find("h1").inner_text()
        use_everything(opened)
        opened.find("#continue").click()
        opened.settle()
        assert not opened.is_hacked()


SYMBOL = "<img src=x onerror=window.hacked=1>"
"""A shorter hostile text, for symbols."""


def hostile_values(values: Any, text: str = HOSTILE) -> Any:
    """Return data of a page in which each text that only names something is hostile.

    Arrays, the description of the network, and names by which the page finds matrices and gates are unchanged.
    """
    if isinstance(values, str):
        return values + text
    if isinstance(values, list):
        return [hostile_values(value, text) for value in values]
    if isinstance(values, dict):
        unchanged = {"dtype", "data", "answers", "letters", "example", "network", "weights", "eigenvalues", "gates"}
        short = {"input_symbols", "output_symbols"}
        return {
            name: value if name in unchanged else hostile_values(value, SYMBOL if name in short else text)
            for name, value in values.items()
        }
    return values


@pytest.mark.parametrize("name", ["copy", "elman_grammar", "recorded"])
def test_hostile_names_and_symbols_are_not_executed(
    name: str, browser: Browser, explorer_page: Pages, tmp_path: Path
) -> None:
    data = hostile_values(data_of(*explorer_page(name).runs))
    assert data["task"]["output_symbols"][1].endswith(SYMBOL)
    assert data["runs"][0]["state_parts"][0]["name"].endswith(HOSTILE)
    path = tmp_path / "page.html"
    path.write_text(page(HOSTILE, data), encoding="utf-8")
    with visit(browser, path) as opened:
        assert SYMBOL in opened.row("input")
        use_everything(opened)


FRAGMENTS: dict[str, dict[str, Any]] = {
    "types": {
        "text": 7, "delay": "1", "sequence": "x", "step": [1], "0.moment": None, "0.part": {}, "0.unit": "1",
        "0.order": 3, "0.lag": {}, "0.group": [], "0.block": None, "0.edits": [], "1.unit": True,
    },
    "numbers": {
        "delay": 1e300, "sequence": -1, "step": 1e9, "0.moment": 99, "0.unit": 1e12, "0.lag": -3, "1.unit": 1.5,
        "0.edits": {"units": {"0": 1e999}},
    },
    "texts": {
        "text": "x" * 1_000_000, "0.part": "y" * 1000, "0.order": HOSTILE, "0.block": HOSTILE, "0.group": HOSTILE * 9,
    },
    "prototypes": {
        "__proto__": {"hacked": 1}, "0.__proto__": 1, "0.part": "__proto__", "0.order": "constructor",
        "0.block": "__proto__", "constructor": 1,
    },
}  # fmt: skip
"""Fragments of which each value is invalid."""

NO_EDITS: dict[str, Any] = {
    "units": {}, "gates": {}, "connections": {}, "scale": {}, "noise": {"level": 0, "seed": 1}, "reset": [],
}  # fmt: skip

EDITS: list[dict[str, Any]] = [
    {"units": {"__proto__": 0, "constructor": 0}},
    {"gates": {"layer0/update": HOSTILE}},
    {"connections": {HOSTILE: [[0, 0]]}},
    {"scale": {"toString": 2}},
    {"reset": list(range(100_000))},
    {"further": HOSTILE},
]
"""Parts of edits of which each one is invalid."""


def encoded(values: dict[str, Any]) -> str:
    """Return a fragment with values as JSON."""
    return urlencode({name: json.dumps(value) for name, value in values.items()})


def test_invalid_fragments_show_the_page_of_no_fragment(browser: Browser, explorer_page: Pages) -> None:
    file = explorer_page("copy").file
    with visit(browser, file) as opened:
        first = opened.shown()
    invalid = {name: encoded(values) for name, values in FRAGMENTS.items()}
    invalid["no JSON"] = "text={&0.edits=[[[&delay=undefined&step=NaN&sequence=%FF%00&0.unit=0x3"
    invalid["no values"] = "&&==&%&" + quote(HOSTILE)
    with visit(browser, file, invalid.pop("texts")) as opened:
        assert opened.shown() == first
        for name, fragment in invalid.items():
            opened.follow(encoded({"step": 3}))
            expect(opened.find("#step-value")).to_have_text("3 of 8")
            opened.follow(fragment)
            expect(opened.find("#step-value")).to_have_text("6 of 8")
            assert opened.page.evaluate("() => location.hash") == "", name  # the page shows its defaults
        assert opened.shown() == first
        assert not opened.is_hacked()


def test_invalid_edits_are_ignored(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("copy").file) as opened:
        for step, change in enumerate(EDITS):
            opened.follow(encoded({"step": step, "0.edits": NO_EDITS | change}))
            expect(opened.find("#step-value")).to_have_text(f"{step} of 8")
            expect(opened.find("#undo")).to_be_disabled()
            assert opened.part("change", "edits").inner_text() == "none", change
        assert not opened.is_hacked()


def test_extreme_edits_are_shown_and_undone(browser: Browser, explorer_page: Pages) -> None:
    file = explorer_page("variable_delay_echo").file
    with visit(browser, file) as opened:
        first = opened.shown()
    extreme = deepcopy(NO_EDITS) | {
        "units": {"0": 1e308, "1": -1e308},
        "gates": {"layer0/update": -1e300, "layer0/new/2": 1e300},
        "scale": {"weight_hh_l0/update": 1e300, "weight_hh_l0/new": -1e9},
        "noise": {"level": 1e300, "seed": 1e300},
        "reset": [0, 1, 1_000_000],
    }
    with visit(browser, file, encoded({"0.edits": extreme})) as opened:
        opened.settle()
        assert opened.part("change", "edits").locator("li").count() == 10
        opened.find("#undo").click()
        assert opened.shown() == first


def test_page_recovers_from_a_link_with_an_invalid_text(browser: Browser, explorer_page: Pages) -> None:
    with visit(browser, explorer_page("copy").file) as opened:
        expect(opened.find("#step-value")).to_have_text("6 of 8")
        opened.follow(encoded({"text": "<b>"}))
        opened.find("#back").click()
        expect(opened.find("#step-value")).to_have_text("5 of 8")
        opened.part("state", "cut").click()
        expect(opened.part("change", "edits")).to_contain_text("cut")


def test_policy_refuses_scripts_and_connections(browser: Browser, explorer_page: Pages) -> None:
    picture = "https://example.com/picture.png"
    with visit(browser, explorer_page("echo").file) as opened:
        with opened.page.expect_event("requestfailed") as failed:
            opened.page.evaluate(
                """picture => {
                    const script = document.createElement("script");
                    script.textContent = "window.hacked = 1";
                    const handler = document.createElement("div");
                    handler.setAttribute("onclick", "window.hacked = 1");
                    const style = document.createElement("style");
                    style.textContent = "body { display: none }";
                    const frame = document.createElement("iframe");
                    frame.src = "data:text/html,<script>parent.hacked = 1</script>";
                    const image = document.createElement("img");
                    image.src = picture;
                    document.body.append(script, handler, style, frame, image);
                    handler.click();
                }""",
                picture,
            )
        assert (failed.value.url, failed.value.failure) == (picture, "csp")
        opened.requests.remove(picture)
        assert opened.page.evaluate("picture => fetch(picture).catch(() => 'refused')", picture) == "refused"
        expect(opened.find("#answer")).to_be_visible()
        assert not opened.is_hacked()
        for directive in ("script-src", "style-src", "frame-src", "img-src", "connect-src"):
            assert any("Content Security Policy" in text and directive in text for text in opened.problems), directive
        opened.problems.clear()
