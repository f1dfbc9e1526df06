import errno
import json
import math
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn_tasks.errors import UsageError
from rnn_tasks.runs import files
from rnn_tasks.runs.files import read_summary, remove_scratch_files, require_writable, write_all, write_atomically


def test_write_atomically_writes_text_and_bytes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "é\n")
    write_atomically(tmp_path / "bytes", b"\x00")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "é\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00"
    assert len(list(tmp_path.iterdir())) == 2


def test_write_atomically_keeps_the_old_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_all_creates_folders_and_keeps_other_files(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "folder"
    write_all(folder, {"page": b"1", "pictures/one": b"2"})
    (folder / "other").write_text("stays")
    write_all(folder, {"page": b"3"})
    contents = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert contents == {"page": "3", "pictures/one": "2", "other": "stays"}


def test_write_all_writes_nothing_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: str | bytes) -> None:
        if path.name == "last":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_atomically(path, content)

    monkeypatch.setattr(files, "write_atomically", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_all(tmp_path / "new" / "folder", {"first": b"1", "last": b"2"})
    assert caught.value.filename == str(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_require_writable_leaves_no_files(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        require_writable(tmp_path / "taken" / "folder")


def test_folder_that_takes_no_files_is_a_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, mode: int = 0o777) -> None:  # as in /proc, although the parent folder exists
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", path)

    monkeypatch.setattr("os.mkdir", refuse)
    for write in (require_writable, lambda folder: write_all(folder, {"page": b"1"})):
        with pytest.raises(PermissionError) as caught:
            write(tmp_path / "new")
        assert (caught.value.errno, caught.value.filename) == (errno.EACCES, str(tmp_path / "new"))


def write_and_read(folder: Path, letter: str, count: int) -> None:
    """Write a file of one letter many times, as a process that has the number 1, and read it after each time."""
    os.getpid = lambda: 1  # as in a container
    path = folder / "page.json"
    for _ in range(count):
        write_atomically(path, letter * 500_000)
        content = path.read_text()
        assert len(content) == 500_000
        assert len(set(content)) == 1


@pytest.mark.slow
def test_write_atomically_is_safe_for_several_writers(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_and_read, args=(tmp_path, letter, 60)) for letter in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["page.json"]


def test_write_atomically_uses_a_new_scratch_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(files, "replace", lambda source, target: names.append(source.name))
    for _ in range(2):
        write_atomically(tmp_path / "a.json", "x")
    assert len(set(names)) == 2


def test_write_atomically_waits_for_readers_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename, refusals = Path.replace, [PermissionError(errno.EACCES, "Access is denied")] * 2

    def replace(source: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return rename(source, target)

    monkeypatch.setattr(Path, "replace", replace)
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    refusals += [PermissionError(errno.EACCES, "Access is denied")] * 9
    with pytest.raises(PermissionError) as caught:
        write_atomically(tmp_path / "a", "newer")
    assert caught.value.filename == str(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot open a folder")
def test_write_atomically_syncs_the_folder_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append((os.path.samestat(os.fstat(descriptor), tmp_path.stat()), (tmp_path / "a").exists()))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", record)
    write_atomically(tmp_path / "a", "new")
    assert synced == [(False, False), (True, True)]  # the file before, the folder after the renaming


def test_remove_scratch_files_leaves_all_other_files(tmp_path: Path) -> None:
    scratch = (".config.yaml.4711", ".snapshots.pt.0123456789abcdef", "checkpoints/.last.ckpt.99")
    others = (
        "config.yaml",
        ".notes.2024",
        ".summary.json",
        ".snapshots.pt.0123abc",
        "checkpoints/last.ckpt",
        "a.json.12",
    )
    (tmp_path / "checkpoints").mkdir()
    for name in (*scratch, *others):
        (tmp_path / name).touch()
    (tmp_path / ".curves.json.12").mkdir()
    remove_scratch_files(tmp_path)
    remove_scratch_files(tmp_path / "missing")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {*others, "checkpoints", ".curves.json.12"}


def test_remove_scratch_files_finds_what_a_writer_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # a killed process neither renames nor removes the file
        patch.setattr(files, "replace", lambda source, target: None)
        for name in ("last.ckpt", "summary.json", "config.yaml", "snapshots.pt"):
            write_atomically(tmp_path / name, "x")
    assert len(list(tmp_path.iterdir())) == 4
    remove_scratch_files(tmp_path)
    assert list(tmp_path.iterdir()) == []


SUMMARY: dict[str, Any] = {
    "task": "text",
    "model": "LanguageModel",
    "core": "GRU",
    "seed": 0,
    "parameters": 9,
    "steps": 4,
    "solved_at": None,
    "sequences": 16,
    "time_steps": 64,
    "seconds": 0.5,
    "stopped": "steps",
    "verdict": "learning",
    "baseline": {
        "loss": 2.0,
        "accuracy": 0.3,
        "name": "2-gram",
        "perplexity": 7.4,
        "val": {"loss": 2.0, "accuracy": 0.3, "name": "2-gram", "perplexity": 7.4},
    },
    "example": "--prefix a",
    "metrics": {"val/loss": math.nan, "val/perplexity": math.nan, "val/bits_per_character": math.inf},
    "versions": {"torch": "2.13"},
}


def change(summary: dict[str, Any], *path: str, value: Any = ...) -> None:
    """Change a value of a summary; remove it if no value is given."""
    *parents, name = path
    for parent in parents:
        summary = summary[parent]
    if value is ...:
        del summary[name]
    else:
        summary[name] = value


@pytest.mark.parametrize(
    "damage",
    [
        lambda summary: change(summary, "seconds"),
        lambda summary: change(summary, "solved_at"),
        lambda summary: change(summary, "task"),
        lambda summary: change(summary, "steps", value=True),
        lambda summary: change(summary, "steps", value=4.0),
        lambda summary: change(summary, "parameters", value=10**400),
        lambda summary: change(summary, "stopped", value="never"),
        lambda summary: change(summary, "stopped", value=["steps"]),
        lambda summary: change(summary, "verdict", value="good"),
        lambda summary: change(summary, "metrics", "val/loss", value="0.5"),
        lambda summary: change(summary, "metrics", "val/perplexity"),
        lambda summary: change(summary, "baseline"),
        lambda summary: change(summary, "baseline", "loss", value=0),
        lambda summary: change(summary, "baseline", "name"),
        lambda summary: change(summary, "baseline", "perplexity"),
        lambda summary: change(summary, "baseline", "val", value=None),
        lambda summary: change(summary, "baseline", "val", "perplexity"),
        lambda summary: change(summary, "example", value=3),
        lambda summary: change(summary, "versions", value=[1]),
    ],
)
def test_read_summary_rejects_a_damaged_value(tmp_path: Path, damage: Callable[[dict[str, Any]], None]) -> None:
    summary = json.loads(json.dumps(SUMMARY))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert read_summary(tmp_path)["steps"] == 4
    damage(summary)
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(UsageError, match=r"summary\.json is damaged; delete it and resume the run"):
        read_summary(tmp_path)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "", '{"steps": ' + "9" * 5000 + "}", "\xff", "[]", "3"])
def test_read_summary_rejects_invalid_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is damaged"):
        read_summary(tmp_path)


def test_read_summary_accepts_other_metrics_of_a_users_model(tmp_path: Path) -> None:
    summary = {**SUMMARY, "model": "MyModel", "metrics": {"val/loss": 1.0}}
    del summary["baseline"]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert read_summary(tmp_path) == summary
