"""The names in a run folder, and writing that leaves either the old file or the new one."""

import os
from pathlib import Path

CONFIG = "config.yaml"
SUMMARY = "summary.json"
CHECKPOINTS = "checkpoints"
BEST = "best.ckpt"
LAST = "last.ckpt"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that a killed process or a full disk leaves the file that was there.

    Args:
        path: The file; its folder must exist.
        content: Text (UTF-8) or bytes.

    Raises:
        OSError: It cannot be written; nothing has changed.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException as error:
        scratch.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
