"""Writing checkpoints atomically."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from rnn_tasks.runs.checkpoints import read_tensors
from rnn_tasks.runs.files import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes checkpoints atomically, and reads only tensors and plain values.

    A checkpoint is written into its own folder and then renamed. Lightning's own plugin uses the system's temporary
    folder, from which a move may be a copy that is not atomic.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Args:
            checkpoint: The contents of the checkpoint.
            path: The file.
            storage_options: Not used.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), buffer.getvalue())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint with :func:`read_tensors`; arguments other than the path are ignored."""
        contents: dict[str, Any] = read_tensors(Path(path))
        callbacks = contents.get("callbacks", {})
        for name, state in callbacks.items():
            if isinstance(state, dict) and state.get("dirpath"):
                callbacks[name] = replace_folder(state, state["dirpath"], str(Path(path).absolute().parent))
        return contents


def replace_folder(value: Any, old: str, new: str) -> Any:
    """Replace the folder of all paths in a nested structure, because the run folder may have been moved.

    Example:
        >>> replace_folder({"best": "/a/b.ckpt", "scores": {"/a/b.ckpt": 0.5}}, "/a", "/c")
        {'best': '/c/b.ckpt', 'scores': {'/c/b.ckpt': 0.5}}
    """
    if isinstance(value, dict):
        return {replace_folder(key, old, new): replace_folder(item, old, new) for key, item in value.items()}
    return new + value[len(old) :] if isinstance(value, str) and value.startswith(old) else value
