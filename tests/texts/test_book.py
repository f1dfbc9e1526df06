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
"""The environment variable with the address of the stand-in, for :func:`read_book` and :func:`download` below."""


def read_book(path: str | None = None) -> str:
    return module.read_book(path, os.environ[URL], SHA1)


def download() -> Path:
    return module.download(os.environ[URL], SHA1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Replace the book by a stand-in, without a copy, a cache or a network."""
    monkeypatch.delenv("RNN_TASKS_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv(URL, f"http://127.0.0.1:{free_port()}/timemachine.txt")
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache" / project)
    return tmp_path / "cache" / "rnn_tasks"


@dataclass
class Host:
    """The behaviour of a local HTTP server, and the requests that it received."""

    content: bytes = STAND_IN
    content_length: int = len(STAND_IN)
    status: int = 200
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    host = Host()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.requests.append(self.path)
            self.send_response(host.status)
            self.send_header("Content-Length", str(host.content_length))
            self.end_headers()
            self.wfile.write(host.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        monkeypatch.setenv(URL, f"http://127.0.0.1:{server.server_port}/timemachine.txt")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield host
        server.shutdown()
        thread.join()


def write_copy(folder: Path, content: bytes = STAND_IN, name: str = "timemachine.txt") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("option", ["path", "variable"])
def test_read_book_reads_a_file_or_a_folder(
    option: str,
    kind: str,
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = write_copy(tmp_path / "folder")
    path = str(file if kind == "file" else file.parent)
    if option == "variable":
        monkeypatch.setenv("RNN_TASKS_DATA", path)
    assert read_book(path if option == "path" else None) == READ
    assert not cache.exists()
    assert capsys.readouterr() == ("", "")


def test_copy_may_have_any_file_name(tmp_path: Path) -> None:
    assert read_book(str(write_copy(tmp_path, name="wells 1895"))) == READ


def test_paths_expand_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_copy(tmp_path / "books")
    assert read_book("~/books") == READ
    monkeypatch.setenv("RNN_TASKS_DATA", "~/books/timemachine.txt")
    assert read_book() == READ


def test_path_has_priority_over_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNN_TASKS_DATA", str(write_copy(tmp_path / "other", b"another book")))
    assert read_book(str(write_copy(tmp_path / "this"))) == READ


@pytest.mark.parametrize("missing", ["none.txt", "empty"])
@pytest.mark.parametrize("option", ["--data.path", "RNN_TASKS_DATA"])
def test_missing_copy_raises_without_a_download(
    option: str, missing: str, tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("RNN_TASKS_DATA", str(tmp_path / missing))
    file = tmp_path / missing / "timemachine.txt" if missing == "empty" else tmp_path / missing
    message = f"{file} does not exist: set {option} to timemachine.txt or to its folder"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read_book(str(tmp_path / missing) if option == "--data.path" else None)
    assert host.requests == []


def test_another_edition_is_read_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_copy(tmp_path, b"The Chronic Argonauts")
    assert read_book(str(tmp_path)) == "The Chronic Argonauts"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"note: {file} is not the edition of the published results (its SHA-1 is not {SHA1})\n"


def test_binary_copy_raises(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read_book(str(write_copy(tmp_path, b"\xff\xfe")))


def test_book_is_downloaded_once_and_kept(
    host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_book() == READ
    assert host.requests == ["/timemachine.txt"]
    assert download() == cache / "timemachine.txt"
    assert (cache / "timemachine.txt").read_bytes() == STAND_IN
    assert read_book() == READ
    monkeypatch.setenv("RNN_TASKS_DATA", "")  # as if it were not set
    assert read_book() == READ
    assert len(host.requests) == 1
    assert capsys.readouterr() == ("", "")


def test_two_threads_download_the_book_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    both_see_no_copy = Barrier(2, timeout=60)

    class Lock(filelock.FileLock):
        def __enter__(self) -> "Lock":
            both_see_no_copy.wait()
            super().__enter__()
            return self

    monkeypatch.setattr("filelock.FileLock", Lock)
    texts: list[str] = []
    threads = [Thread(target=lambda: texts.append(read_book())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [READ, READ]
    assert len(host.requests) == 1


@pytest.mark.slow
def test_two_processes_download_the_book_once_and_silently(host: Host, cache: Path) -> None:
    script = "import sys, pooch; from rnn_tasks.texts import book; pooch.os_cache = lambda _: sys.argv[1];"
    script += "print(book.read_book(None, *sys.argv[2:]), end='')"
    command = [sys.executable, "-c", script, str(cache), os.environ[URL], SHA1]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "12"]
    assert [process.communicate() for process in processes] == [(READ, ""), (READ, "")]
    assert len(host.requests) == 1


def test_changed_copy_in_the_cache_is_downloaded_again(host: Host, cache: Path) -> None:
    write_copy(cache, b"The Time Machi")
    assert read_book() == READ
    assert len(host.requests) == 1
    assert (cache / "timemachine.txt").read_bytes() == STAND_IN


def download_error() -> str:
    """Return the error message of a failed download."""
    with pytest.raises(UsageError) as error:
        read_book()
    message = str(error.value)
    del error
    gc.collect()
    return message


# requests leaves the connection of a rejected response to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize(
    "broken",
    [
        {"content": b"another text", "content_length": 12},
        {"content": STAND_IN[:9]},  # the connection ends too early
        {"status": 404},
        {"status": 503},
    ],
)
def test_wrong_download_raises_and_is_not_kept(broken: dict[str, Any], host: Host, cache: Path) -> None:
    for name, value in broken.items():
        setattr(host, name, value)
    message = download_error()
    assert len(host.requests) == 1
    for text in (os.environ[URL], SHA1, "--data.path", "RNN_TASKS_DATA"):
        assert text in message
    assert "\n" not in message
    assert {file.name for file in cache.iterdir()} <= {".timemachine.txt.lock"}
    host.content, host.content_length, host.status = STAND_IN, len(STAND_IN), 200
    assert read_book() == READ


def test_missing_network_raises_and_names_the_options() -> None:
    message = download_error()
    for text in (os.environ[URL], SHA1, "--data.path", "RNN_TASKS_DATA"):
        assert text in message
    assert "\n" not in message


def test_unusable_cache_raises_and_names_the_options(host: Host, cache: Path) -> None:
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    assert "--data.path" in download_error()
    assert host.requests == []
