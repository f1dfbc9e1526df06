import http.server
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO, replace_folder
from rnn_tasks.runs.checkpoints import read_checkpoint
from tests.helpers.command_line import RnnTasks, small


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_load_checkpoint_returns_the_saved_contents(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(2)}, "note": [1, "two", None]}, path)
    contents = AtomicCheckpointIO().load_checkpoint(path)
    assert torch.equal(contents["state_dict"]["w"], torch.ones(2))
    assert contents["note"] == [1, "two", None]


def test_load_checkpoint_executes_no_code(tmp_path: Path) -> None:
    path, target = tmp_path / "evil.ckpt", tmp_path / "executed"
    torch.save({"state_dict": {}, "payload": Hostile(target)}, path)
    with pytest.raises(UsageError, match="cannot be loaded"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not target.exists()
    torch.load(path, weights_only=False)
    assert target.exists()  # an unsafe load executes the code


@pytest.mark.parametrize("size", [0, 1, 100, 1000])
def test_read_checkpoint_rejects_a_truncated_file(tmp_path: Path, size: int) -> None:
    whole, cut = tmp_path / "whole.ckpt", tmp_path / "cut.ckpt"
    torch.save({"state_dict": {"w": torch.zeros(500)}}, whole)
    cut.write_bytes(whole.read_bytes()[:size])
    with pytest.raises(UsageError, match="damaged") as caught:
        read_checkpoint(cut)
    assert "\n" not in str(caught.value)


def test_read_checkpoint_distinguishes_its_errors(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.ckpt")
    with pytest.raises(UsageError, match="there is no checkpoint"):
        read_checkpoint(tmp_path / "missing.ckpt")
    with pytest.raises(UsageError, match="is a folder"):
        read_checkpoint(tmp_path)
    with pytest.raises(UsageError, match="not a checkpoint of a model"):
        read_checkpoint(tmp_path / "list.ckpt")


BEST = "ModelCheckpoint{'monitor': 'val/loss', 'mode': 'min'}"


def saving_state(path: str, dirpath: str | None = None) -> dict[str, Any]:
    """Return the state of a ModelCheckpoint whose best checkpoint is at a path."""
    score = torch.tensor(1e9)
    state: dict[str, Any] = {
        "monitor": "val/loss",
        "best_model_path": path,
        "kth_best_model_path": path,
        "best_k_models": {path: score},
        "kth_value": score,
        "best_model_score": score,
        "last_model_path": path,
    }
    return state if dirpath is None else {**state, "dirpath": dirpath}


def loaded_states(path: Path, states: dict[str, Any]) -> dict[str, Any]:
    """Write a checkpoint with states of callbacks as torch does, and load it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {}, "callbacks": states}, path)
    callbacks: dict[str, Any] = AtomicCheckpointIO().load_checkpoint(path)["callbacks"]
    return callbacks


@pytest.fixture
def bait(tmp_path: Path) -> Path:
    """Create a folder whose files must not be removed."""
    for file in ("thesis.txt", "sub/data.ckpt"):
        (tmp_path / "bait" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bait" / file).write_text("precious")
    return tmp_path / "bait"


STRANGE = [
    "local://{bait}",
    "file://{bait}",
    "{bait}",
    "{bait}/thesis.txt",
    "{bait}/sub/data.ckpt",
    "{own}/../../bait",
    "{own}/../../bait/sub/data.ckpt",
    "{own}/deeper/x.ckpt",
    "{own}/notes.txt",
    "../bait/sub/data.ckpt",
    "~/x.ckpt",
    "http://127.0.0.1:9/x.ckpt",
    "simplecache::http://127.0.0.1:9/x.ckpt",
    "{own}/link.ckpt",
    "{own}/\0.ckpt",
    "x" * 300 + ".ckpt",
]
"""Paths that a checkpoint of somebody else may hold; ``own`` is the folder of the checkpoint."""


@pytest.mark.parametrize("pattern", STRANGE)
@pytest.mark.parametrize("key", [BEST, "MyCheckpoint{'k': 3}", "Other"])
def test_load_checkpoint_drops_paths_of_other_files(
    tmp_path: Path, bait: Path, pattern: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "run" / "checkpoints"
    own.mkdir(parents=True)
    (own / "link.ckpt").symlink_to(bait)
    monkeypatch.chdir(own)
    strange = pattern.format(bait=bait, own=own)
    nested = {"last": [strange, (strange, {"deep": strange})], "scores": {strange: 0.5}, "rounds": 3}
    with pytest.warns(UserWarning, match="paths outside its folder"):
        states = loaded_states(own / "last.ckpt", {key: saving_state(strange), "nested": nested})
    assert strange not in repr(states)
    assert states["nested"] == {"last": ["", ("", {"deep": ""})], "scores": {}, "rounds": 3}
    assert states[key]["best_k_models"] == {}
    assert states[key]["best_model_path"] == states[key]["kth_best_model_path"] == ""
    assert states[key]["best_model_score"] is None
    assert "kth_value" not in states[key]


def test_load_checkpoint_drops_relative_names_of_best_models(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="paths outside its folder"):
        states = loaded_states(tmp_path / "last.ckpt", {BEST: saving_state("bait")})
    assert "bait" not in repr(states)


def test_load_checkpoint_keeps_paths_of_its_folder(tmp_path: Path) -> None:
    own = tmp_path / "run" / "checkpoints"
    states = {BEST: saving_state(f"{own}/best.ckpt", str(own)), "Metrics": {"val/loss": 0.5, "text": "a/b", "none": ""}}
    assert loaded_states(own / "last.ckpt", states) == states


def test_load_checkpoint_finds_the_files_of_a_moved_run(tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "checkpoints", tmp_path / "new" / "checkpoints"
    expected = saving_state(f"{new}/best.ckpt", str(new))
    assert loaded_states(new / "last.ckpt", {BEST: saving_state(f"{old}/best.ckpt", str(old))}) == {BEST: expected}
    old.mkdir(parents=True)
    AtomicCheckpointIO().save_checkpoint(
        {"state_dict": {}, "callbacks": {BEST: saving_state(f"{old}/best.ckpt", str(old))}}, old / "last.ckpt"
    )
    (old / "last.ckpt").rename(new / "last.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(new / "last.ckpt")["callbacks"] == {BEST: expected}


def test_load_checkpoint_keeps_paths_of_known_folders(tmp_path: Path) -> None:
    other = tmp_path / "other"
    state = saving_state(f"{other}/best.ckpt", str(other))
    torch.save({"state_dict": {}, "callbacks": {BEST: state}}, tmp_path / "last.ckpt")
    checkpoint_io = AtomicCheckpointIO()
    checkpoint_io.folders.add(other.resolve())
    assert checkpoint_io.load_checkpoint(tmp_path / "last.ckpt")["callbacks"] == {BEST: state}


def test_load_checkpoint_keeps_the_texts_of_snapshots(tmp_path: Path) -> None:
    states = {"SnapshotRecorder": {"waiting": [{"alphabet": ("/", "a"), "samples": ("see http://a.b",)}]}}
    assert loaded_states(tmp_path / "last.ckpt", states) == states


def test_saved_checkpoint_does_not_contain_its_folder(tmp_path: Path) -> None:
    own = tmp_path / "secret name" / "checkpoints"
    state = saving_state(f"{own}/best.ckpt", str(own))
    AtomicCheckpointIO().save_checkpoint({"state_dict": {}, "callbacks": {BEST: state}}, own / "last.ckpt")
    assert b"secret name" not in (own / "last.ckpt").read_bytes()
    assert state == saving_state(f"{own}/best.ckpt", str(own))  # the state of the callback itself is unchanged


def test_save_checkpoint_rejects_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"local folders, not at s3://bucket/a\.ckpt"):
        AtomicCheckpointIO().save_checkpoint({"state_dict": {}}, "s3://bucket/a.ckpt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pattern", STRANGE)
def test_remove_checkpoint_leaves_other_files(
    tmp_path: Path, bait: Path, pattern: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "run" / "checkpoints"
    checkpoint_io = AtomicCheckpointIO()
    checkpoint_io.save_checkpoint({"state_dict": {}}, own / "last.ckpt")
    for folder in (own, own / "deeper"):
        folder.mkdir(exist_ok=True)
        for name in ("x.ckpt", "notes.txt"):
            (folder / name).write_text("precious")
    (own / "link.ckpt").symlink_to(bait)
    monkeypatch.chdir(own)
    monkeypatch.setenv("HOME", str(own / "deeper"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.warns(UserWarning, match="was not removed"):
        checkpoint_io.remove_checkpoint(pattern.format(bait=bait, own=own))
    assert sorted(tmp_path.rglob("*")) == before


def test_remove_checkpoint_removes_one_file_of_the_run(tmp_path: Path) -> None:
    checkpoint_io = AtomicCheckpointIO()
    for name in ("a", "b"):
        checkpoint_io.save_checkpoint({"state_dict": {}}, tmp_path / f"{name}.ckpt")
    (tmp_path / "link.ckpt").symlink_to("b.ckpt")
    (tmp_path / "folder.ckpt").mkdir()
    for name in ("a", "a", "link"):  # the second time, the file does not exist
        checkpoint_io.remove_checkpoint(tmp_path / f"{name}.ckpt")
    with pytest.warns(UserWarning, match="was not removed"):
        checkpoint_io.remove_checkpoint(tmp_path / "folder.ckpt")
    with pytest.warns(UserWarning, match="not a checkpoint in a folder of this run"):  # another process has saved it
        AtomicCheckpointIO().remove_checkpoint(tmp_path / "b.ckpt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.ckpt", "folder.ckpt"]


def test_replace_folder_changes_only_whole_names() -> None:
    value = OrderedDict({"/a/b": ["/a", "/ab", ("/a/c", 1)], "n": Counter("x"), "s": {"/a"}})
    changed = replace_folder(value, "/a", "/z")
    assert changed == OrderedDict({"/z/b": ["/z", "/ab", ("/z/c", 1)], "n": Counter("x"), "s": {"/z"}})
    assert (type(changed), type(changed["n"])) == (OrderedDict, Counter)


class Requests(http.server.BaseHTTPRequestHandler):
    """Remembers the paths of all requests."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_error(404)

    do_HEAD = do_GET


@pytest.fixture
def server() -> Iterator[str]:
    """Start a server on this machine, and return its address."""
    Requests.paths.clear()
    with http.server.HTTPServer(("127.0.0.1", 0), Requests) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("way", ["resume", "ckpt_path"])
@pytest.mark.parametrize("pattern", ["local://{bait}", "{own}/../../../../../bait", "{server}/beacon.ckpt"])
@pytest.mark.filterwarnings("ignore:.*paths outside its folder", "ignore:The dirpath has changed")
def test_foreign_checkpoint_removes_no_files(
    trained: RnnTasks, bait: Path, server: str, pattern: str, way: str
) -> None:
    run = Path("lightning_logs/echo/version_0")
    last = run / "checkpoints" / "last.ckpt"
    strange = pattern.format(bait=bait, own=last.parent.absolute(), server=server)
    checkpoint = torch.load(last, weights_only=True)
    saving = [name for name, state in checkpoint["callbacks"].items() if "best_model_path" in state]
    assert saving
    for name in saving:
        checkpoint["callbacks"][name].update(saving_state(strange))
    torch.save(checkpoint, last)
    longer = ["--trainer.max_steps=8"]
    if way == "resume":
        result = trained("resume", str(run), *longer)
    else:
        result = trained("fit", "--config", "echo", *small("echo"), *longer, "--ckpt_path", str(last))
    assert result.status == 0, result.err
    assert sorted(path.name for path in bait.rglob("*")) == ["data.ckpt", "sub", "thesis.txt"]
    assert Requests.paths == []
    folder = run if way == "resume" else run.with_name("version_1")
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] > 4  # the best so far was forgotten
