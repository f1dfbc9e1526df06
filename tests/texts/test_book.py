import gc
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import filelock
import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.texts import book as module
from tests.helpers.processes import free_port

STAND_IN = b"The Time Machine,\r\nby nobody\r\n"
READ = "The Time Machine,\nby nobody\n"
SHA1 = hashlib.sha1(STAND_IN).hexdigest()
URL = "URL_OF_THE_STAND_IN"
"""The environment variable that tells :func:`book` and :func:`fetched` below where the stand-in is."""


def book(path: str | None = None) -> str:
    return module.book(path, os.environ[URL], SHA1)


def fetched() -> Path:
    return module.fetched(os.environ[URL], SHA1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a user without a copy of the book, without a network, and for whom the stand-in is the book."""
    monkeypatch.delenv("RNN_TASKS_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv(URL, f"http://127.0.0.1:{free_port()}/timemachine.txt")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "rnn_tasks"


@dataclass
class Host:
    """A data host on this machine."""

    content: bytes = STAND_IN
    promised: int = len(STAND_IN)
    status: int = 200
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    told = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.requests.append(self.path)
            self.send_response(told.status)
            self.send_header("Content-Length", str(told.promised))
            self.end_headers()
            self.wfile.write(told.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setenv(URL, f"http://127.0.0.1:{server.server_port}/timemachine.txt")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield told
        server.shutdown()
        thread.join()


def copy(folder: Path, content: bytes = STAND_IN, name: str = "timemachine.txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("by", ["file", "folder"])
@pytest.mark.parametrize("named", ["path", "variable"])
def test_a_copy_is_read_where_it_is_named(
    named: str,
    by: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = copy(tmp_path / "folder")
    place = str(file if by == "file" else file.parent)
    if named == "variable":
        monkeypatch.setenv("RNN_TASKS_DATA", place)
    assert book(place if named == "path" else None) == READ
    assert not cache.exists()
    assert capsys.readouterr() == ("", "")


def test_a_copy_may_have_any_name(tmp_path: Path) -> None:
    assert book(str(copy(tmp_path, name="wells 1895"))) == READ


def test_a_copy_at_home_may_be_named_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    copy(tmp_path / "books")
    assert book("~/books") == READ
    monkeypatch.setenv("RNN_TASKS_DATA", "~/books/timemachine.txt")
    assert book() == READ


def test_the_path_wins_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", str(copy(tmp_path / "other", b"another book")))
    assert book(str(copy(tmp_path / "this"))) == READ


@pytest.mark.parametrize("missing", ["none.txt", "empty"])
@pytest.mark.parametrize("named", ["data.path", "RNN_TASKS_DATA"])
def test_a_copy_that_is_not_there_is_not_fetched_instead(
    named: str, missing: str, tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("RNN_TASKS_DATA", str(tmp_path / missing))
    file = tmp_path / missing / "timemachine.txt" if missing == "empty" else tmp_path / missing
    message = f"there is no {file}; {named} must name timemachine.txt or its folder"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        book(str(tmp_path / missing) if named == "data.path" else None)
    assert host.requests == []


def test_another_edition_is_used_and_said_to_be_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy(tmp_path, b"The Chronic Argonauts")
    assert book(str(tmp_path)) == "The Chronic Argonauts"
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"note: {file} is not the edition that published figures are of (sha1 {SHA1})\n"


def test_a_copy_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        book(str(copy(tmp_path, b"\xff\xfe")))


def test_the_book_is_fetched_once_and_kept(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert book() == READ
    assert host.requests == ["/timemachine.txt"]
    assert fetched() == cache / "timemachine.txt"
    assert (cache / "timemachine.txt").read_bytes() == STAND_IN
    assert book() == READ
    monkeypatch.setenv("RNN_TASKS_DATA", "")  # as if it were not set
    assert book() == READ
    assert len(host.requests) == 1
    assert capsys.readouterr() == ("", "")


def test_two_that_want_it_at_once_fetch_it_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    both_found_none = Barrier(2, timeout=60)

    class Lock(filelock.FileLock):
        def __enter__(self) -> "Lock":
            both_found_none.wait()
            super().__enter__()
            return self

    monkeypatch.setattr("filelock.FileLock", Lock)
    texts: list[str] = []
    threads = [Thread(target=lambda: texts.append(book())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [READ, READ]
    assert len(host.requests) == 1


@pytest.mark.slow
def test_two_processes_fetch_it_once_and_say_nothing(host: Host, cache: Path) -> None:
    script = "import sys, pooch; from rnn_tasks.texts import book; pooch.os_cache = lambda _: sys.argv[1];"
    script += "print(book.book(None, *sys.argv[2:]), end='')"
    command = [sys.executable, "-c", script, str(cache), os.environ[URL], SHA1]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"]
    assert [process.communicate() for process in processes] == [(READ, ""), (READ, "")]
    assert len(host.requests) == 1


def test_a_kept_copy_that_was_changed_is_fetched_again(host: Host, cache: Path) -> None:
    copy(cache, b"The Time Machi")
    assert book() == READ
    assert len(host.requests) == 1
    assert (cache / "timemachine.txt").read_bytes() == STAND_IN


def refusal() -> str:
    """What a user reads who has neither a copy nor a host that serves one."""
    with pytest.raises(UsageError) as refused:
        book()
    said = str(refused.value)
    del refused
    gc.collect()
    return said


# requests leaves the connection of an answer that is refused to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    "broken",
    [
        {"content": b"another text", "promised": 12},
        {"content": STAND_IN[:9]},  # the connection ends too early
        {"status": 404},
        {"status": 503},
    ],
)
def test_what_is_not_the_book_is_refused_and_not_kept(broken: dict[str, Any], host: Host, cache: Path) -> None:
    for name, value in broken.items():
        setattr(host, name, value)
    said = refusal()
    assert len(host.requests) == 1
    for words in (os.environ[URL], SHA1, "--data.path", "RNN_TASKS_DATA"):
        assert words in said
    assert "\n" not in said
    assert {file.name for file in cache.iterdir()} <= {".timemachine.txt.lock"}
    host.content, host.promised, host.status = STAND_IN, len(STAND_IN), 200
    assert book() == READ


def test_without_a_network_the_user_is_told_what_to_do() -> None:
    said = refusal()
    for words in (os.environ[URL], SHA1, "--data.path FILE", "RNN_TASKS_DATA"):
        assert words in said
    assert "\n" not in said


def test_without_a_place_to_keep_it_the_user_is_told_what_to_do(host: Host, cache: Path) -> None:
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    assert "--data.path FILE" in refusal()
    assert host.requests == []
