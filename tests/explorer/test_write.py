import base64
import hashlib
import json
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.cores import GRU
from rnn_tasks.explorer.write import (
    MAX_BYTES,
    SCRIPTS,
    STYLE,
    json_text,
    page,
    page_of_runs,
    part,
    timed,
    write_explorer,
)
from rnn_tasks.runs.find import RunLocation
from tests.helpers.explorer_runs import GENERATED_TASKS, small_network, small_run, snapshots_of

HOSTILE = (
    "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> &lt; ' \" ]]> \u2028\u2029 \ud800 \x00\x1b"
)


class Elements(HTMLParser):
    """The elements of a page, with their attributes and texts.

    Attributes:
        starts: The name and the attributes of each element.
        texts: The texts of the elements by their names, up to the first element inside or the end.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.is_open = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.starts.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")
        self.is_open = True

    def handle_data(self, data: str) -> None:
        if self.is_open:
            self.texts[self.starts[-1][0]][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.is_open = False

    @property
    def names(self) -> list[str]:
        """The names of all elements."""
        return [name for name, _ in self.starts]

    def stored(self) -> Any:
        """Return the data of the page."""
        (position,) = (n for n, attributes in enumerate(self.of("script")) if attributes.get("id") == "data")
        return json.loads(self.texts["script"][position])

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a name."""
        return [attributes for name, attributes in self.starts if name == tag]

    @property
    def policy(self) -> dict[str, list[str]]:
        """The sources of each directive of the Content-Security-Policy."""
        (text,) = (a["content"] for a in self.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
        directives = [directive.split() for directive in str(text).split(";")]
        return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("hostile", [HOSTILE, "\ud83d", "</SCRIPT >", "<!--<script>"])
def test_hostile_texts_stay_texts(hostile: str) -> None:
    data = {"name": hostile, hostile: [hostile, {"letters": list(hostile)}]}
    harmless, elements = Elements(page("title", {})), Elements(page(hostile, data))
    assert elements.names == harmless.names
    assert [sorted(attributes) for _, attributes in elements.starts] == [sorted(a) for _, a in harmless.starts]
    assert elements.stored() == data
    assert elements.texts["script"][1:] == harmless.texts["script"][1:]


def test_data_are_ascii_without_markup() -> None:
    text = json_text({"a": HOSTILE})
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == {"a": HOSTILE}


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        json_text({"a": float("nan")})


def test_policy_allows_exactly_the_scripts_and_the_style() -> None:
    elements = Elements(page("title", {"a": 1}))
    kinds = [attributes.get("type") for attributes in elements.of("script")]
    scripts = [text for kind, text in zip(kinds, elements.texts["script"], strict=True) if kind is None]
    assert scripts == [part(name) for name in SCRIPTS]
    assert elements.texts["style"] == [part(STYLE)]

    def hashes(texts: list[str]) -> list[str]:
        return [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]

    assert elements.policy == {
        "default-src": ["'none'"],
        "script-src": hashes(scripts),
        "style-src": hashes(elements.texts["style"]),
        "img-src": ["data:", "blob:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }


def test_page_has_no_handler_style_or_address() -> None:
    elements = Elements(page("title", {}))
    for name, attributes in elements.starts:
        assert not [attribute for attribute in attributes if attribute.startswith("on") or attribute == "style"], name
        for attribute in ("src", "href", "action", "srcset", "poster"):
            assert re.match(r"data:|#|$", attributes.get(attribute) or ""), name
    assert not re.search(r"@import|url\((?!['\"]?data:)", part(STYLE))


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_stay_in_their_elements(name: str) -> None:
    assert not re.search(r"<!--|</?script", part(name), re.IGNORECASE)


@pytest.mark.parametrize(("count", "bits", "moments"), [(1, 32, 2), (2, 16, 1)])
def test_page_of_many_weights_stays_below_its_limit(count: int, bits: int, moments: int) -> None:
    task = GENERATED_TASKS["echo"]
    network = small_network(task, partial(GRU, hidden_size=310))
    batch = next(iter(task.val_dataloader())).rows(0, 1)
    run = small_run(task, network, snapshots=snapshots_of(network, batch, range(4)))
    text = page_of_runs([run] * count)
    runs = Elements(text).stored()["runs"]
    assert sum(weight.numel() for weight in network.parameters()) > 290_000
    assert [(run["precision"]["bits"], len(run["moments"])) for run in runs] == [(bits, moments)] * count
    assert 3e6 < len(text.encode()) < MAX_BYTES


@pytest.fixture
def echo(trained_logs: Path) -> RunLocation:
    return RunLocation(trained_logs / "echo" / "version_0")


def test_page_of_a_run_names_no_folder_of_the_computer(echo: RunLocation, tmp_path: Path) -> None:
    size = write_explorer([echo, echo], tmp_path / "new" / "x.html")
    text = (tmp_path / "new" / "x.html").read_text()
    assert size == len(text.encode())
    assert str(tmp_path) not in text
    assert str(echo.folder.parent.parent) not in text
    assert [run["name"] for run in Elements(text).stored()["runs"]] == ["echo/version_0"] * 2


def test_page_is_the_same_again(echo: RunLocation, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_explorer([echo], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_old_page_stays_if_the_new_one_cannot_be_written(
    echo: RunLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.html").write_text("old")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("rnn_tasks.runs.files.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_explorer([echo], tmp_path / "x.html")
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    assert (tmp_path / "x.html").read_text() == "old"


def test_slow_parts_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.5, 1.0, 3.25])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    for part_name in ("Runs", "Weights"):
        with timed(part_name):
            pass
    assert capsys.readouterr().out == "Weights  2.2 s\n"
