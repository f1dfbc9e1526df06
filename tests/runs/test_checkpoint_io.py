import os
from pathlib import Path

import pytest
import torch

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.checkpoint_io import AtomicCheckpointIO
from rnn_tasks.runs.checkpoints import read_checkpoint


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
