"""Reading checkpoints: tensors and plain values only, so that nothing in a file is executed."""

import warnings
from pathlib import Path
from typing import Any

import torch

from rnn_tasks.errors import UsageError


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
