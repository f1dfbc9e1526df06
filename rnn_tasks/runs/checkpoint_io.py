"""Checkpoints that are whole or not there."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from rnn_tasks.runs.checkpoints import read_tensors
from rnn_tasks.runs.files import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, and reads tensors and plain values only.

    (Lightning's own goes through the system's temporary folder, from where a move can be a copy.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: What to write.
            path: Where to.
            storage_options: Not used.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a file that this class wrote; whatever the arguments, as :func:`read_tensors` does."""
        contents: dict[str, Any] = read_tensors(Path(path))
        callbacks = contents.get("callbacks", {})
        for name, state in callbacks.items():
            if isinstance(state, dict) and state.get("dirpath"):
                callbacks[name] = moved(state, state["dirpath"], str(Path(path).absolute().parent))
        return contents


def moved(value: Any, old: str, new: str) -> Any:
    """A nested structure whose paths below one folder are below another: the run folder may have been moved.

    Example:
        >>> moved({"best": "/a/b.ckpt", "scores": {"/a/b.ckpt": 0.5}}, "/a", "/c")
        {'best': '/c/b.ckpt', 'scores': {'/c/b.ckpt': 0.5}}
    """
    if isinstance(value, dict):
        return {moved(key, old, new): moved(kept, old, new) for key, kept in value.items()}
    return new + value[len(old) :] if isinstance(value, str) and value.startswith(old) else value
