"""Reading checkpoints: only tensors and plain values, so that no code in a file is executed."""

import warnings
from pathlib import Path
from typing import Any

import torch

from rnn_tasks.errors import UsageError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the checkpoint of a model with :func:`read_tensors`.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing, damaged, or not the checkpoint of a model.
    """
    checkpoint = read_tensors(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise UsageError(f"{path} is not a checkpoint of a model")
    return checkpoint


def read_tensors(path: Path) -> Any:
    """Read tensors and plain values from a file, onto the CPU; no code in the file is executed.

    Args:
        path: The file.

    Raises:
        UsageError: The file is missing, damaged, or holds other objects.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files that it did not write
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UsageError(f"there is no checkpoint {path}") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder, not a checkpoint") from error
    except PermissionError as error:
        raise UsageError(f"{path} cannot be read: permission denied") from error
    except Exception as error:  # torch raises many types of exceptions for a damaged file
        raise UsageError(
            f"{path} cannot be loaded: it is damaged, or holds objects other than tensors and plain values"
        ) from error
