"""Checkpoints that are whole or not there."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.plugins.io import TorchCheckpointIO

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.files import write_atomically


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there, and reads tensors and plain values only.

    (Lightning's own goes through the system's temporary folder, from where a move can be a copy.)
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
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
        self, path: _PATH, map_location: Any | None = None, weights_only: bool | None = None
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


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a model, as :func:`read_tensors` does.

    Args:
        path: The file.

    Raises:
        UsageError: It is missing, damaged, or holds something else.
    """
    checkpoint = read_tensors(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UsageError(f"{path} is not a checkpoint of a model")
    return checkpoint


def read_tensors(path: Path) -> Any:
    """Read tensors and plain values from a file, onto the CPU; nothing in it is executed.

    Args:
        path: The file.

    Raises:
        UsageError: It is missing, damaged, or holds more than that.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch wonders aloud about files that are not its own
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"there is no checkpoint {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a checkpoint") from error
    except PermissionError as error:
        raise UsageError(f"{path} cannot be read: permission denied") from error
    except Exception as error:  # torch raises many kinds for a file that it cannot make sense of
        raise UsageError(
            f"{path} cannot be loaded: it is damaged, or holds more than tensors and plain values"
        ) from error
