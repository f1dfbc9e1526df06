import errno
from pathlib import Path

import pytest

from rnn_tasks.runs import files
from rnn_tasks.runs.files import require_writable, write_all, write_atomically


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
