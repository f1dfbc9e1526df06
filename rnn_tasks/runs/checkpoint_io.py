"""Writing, reading and removing checkpoints."""

import io
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_warn

from rnn_tasks.errors import UsageError
from rnn_tasks.runs.checkpoints import read_tensors
from rnn_tasks.runs.files import write_atomically

SUFFIX = ".ckpt"

HERE = "<folder of this checkpoint>"
"""Stands for the folder of a checkpoint in the states of callbacks, so that a run folder can be moved."""

FREE_TEXT = ("SnapshotRecorder",)
"""Callbacks whose states hold free text, which is not a path even if it looks like one, and no paths."""

BEST_MODELS = {"best_k_models", "best_model_path", "kth_best_model_path", "kth_value", "best_model_score"}
"""The names of the values by which a ModelCheckpoint knows its best checkpoints."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning plugin that writes checkpoints atomically, reads only tensors and plain values, and removes only files.

    A checkpoint is written into its own folder and then renamed. Lightning's own plugin uses the system's temporary
    folder, from which a move may be a copy that is not atomic.

    A checkpoint may come from somebody else, and the states of callbacks in it name files: Lightning removes them when
    better checkpoints are saved. Therefore only names of checkpoints in known folders are read from a checkpoint, and
    only checkpoints in known folders are removed.

    Attributes:
        folders: The known folders, resolved: those into which this object has saved a checkpoint, and those that were
            added because the user's configuration names them.
    """

    def __init__(self) -> None:
        self.folders: set[Path] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a checkpoint. The states of callbacks in the file do not contain the path of its folder.

        Args:
            checkpoint: The contents of the checkpoint.
            path: The file; its folder is created if it does not exist.
            storage_options: Not used.

        Raises:
            UsageError: The path is a URL.
            OSError: The file cannot be written.
        """
        if is_url(str(path)):
            raise UsageError(f"checkpoints are saved in local folders, not at {path}; set trainer.plugins to null")
        path = Path(path)
        folder = path.absolute().parent
        folder.mkdir(parents=True, exist_ok=True)
        if "callbacks" in checkpoint:
            states = with_paths(checkpoint["callbacks"], lambda _, state: replace_folder(state, str(folder), HERE))
            checkpoint = {**checkpoint, "callbacks": states}
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomically(path, buffer.getvalue())
        self.folders.add(folder.resolve())

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint with :func:`read_tensors`, without paths of unknown files in the states of callbacks.

        Lightning also reads files of weights alone, which its processes exchange. A state keeps the paths of
        checkpoints directly in the folder of the file or in one of ``folders``.

        Args:
            path: The file.
            map_location: Not used; tensors are read onto the CPU.
            weights_only: Not used; only tensors and plain values are read.

        Raises:
            UsageError: The file is missing, damaged, or holds other objects.
        """
        contents: dict[str, Any] = read_tensors(Path(path))
        folder = Path(path).absolute().parent

        def known_paths(name: str, state: Any) -> Any:
            state = self._current_paths(state, folder)
            unknown = {text for text in paths(state) if not self._is_known(text, folder)}
            if not unknown:
                return state
            rank_zero_warn(f"{path}: paths outside its folder are ignored in the state of the callback {name}")
            return without(state, unknown)

        if isinstance(contents, dict) and isinstance(contents.get("callbacks"), dict):
            contents["callbacks"] = with_paths(contents["callbacks"], known_paths)
        return contents

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a checkpoint that is a file in one of ``folders``; otherwise warn and remove nothing.

        Args:
            path: The file.
        """
        target = Path(path)
        if not is_url(str(path)) and not os.path.lexists(target):
            return
        reason = "it is not a checkpoint in a folder of this run"
        if self._is_known(str(path)) and (target.is_file() or not target.exists()):
            try:
                target.unlink(missing_ok=True)
                return
            except OSError as error:
                reason = str(error.strerror)
        rank_zero_warn(f"{path} was not removed: {reason}")

    def _current_paths(self, state: Any, folder: Path) -> Any:
        """Return the state of a callback with the current folder of the checkpoint."""
        stored = state.get("dirpath") if isinstance(state, dict) else None
        if isinstance(stored, str) and stored and not self._is_known(stored, folder):
            state = replace_folder(state, stored, str(folder))  # in version 0.1.0; the run folder may have been moved
        return replace_folder(state, HERE, str(folder))

    def _is_known(self, text: str, *more_folders: Path) -> bool:
        """Return whether a path is a known folder, or that of a checkpoint directly in a known folder.

        Args:
            text: The path.
            *more_folders: Folders that are known besides ``folders``.
        """
        if is_url(text):
            return False
        try:
            path = Path(text).resolve()
            known = {*self.folders, *(folder.resolve() for folder in more_folders)}
            return path in known or (path.parent in known and path.suffix == SUFFIX and not path.is_dir())
        except (OSError, ValueError, RuntimeError):  # no system accepts this path
            return False


def with_paths(states: dict[str, Any], change: Callable[[str, Any], Any]) -> dict[str, Any]:
    """Return the states of callbacks with changed states of those that may hold paths.

    Args:
        states: The states by the names of the callbacks.
        change: Function of the name and the state of a callback.
    """
    return {name: state if name in FREE_TEXT else change(name, state) for name, state in states.items()}


def is_url(text: str) -> bool:
    """Return whether a path is a URL, which Lightning would open with fsspec.

    Example:
        >>> is_url("http://example.com/a.ckpt"), is_url("local::/a.ckpt"), is_url("/a/b.ckpt")
        (True, True, False)
    """
    return "://" in text or "::" in text or text.startswith("data:")


def looks_like_path(text: str) -> bool:
    """Return whether a text is a URL, an absolute path, a path through a parent folder, or the name of a checkpoint.

    Example:
        >>> [looks_like_path(text) for text in ("val/loss", "/a", "../a", "a.ckpt", "ftp://a")]
        [False, True, True, True, True]
    """
    parts = text.replace("\\", "/").split("/")
    return is_url(text) or Path(text).is_absolute() or text.endswith(SUFFIX) or parts[0] == "~" or ".." in parts


def paths(value: Any, key: object = None) -> Iterator[str]:
    """Yield the paths in a nested structure: texts that look like one, and those that ModelCheckpoint uses as one.

    Args:
        value: The structure.
        key: The key of the structure in its parent.

    Example:
        >>> list(paths({"monitor": "val/loss", "best_model_path": "a", "best_k_models": {"b": 0.5}}))
        ['a', 'b']
    """
    if isinstance(value, str):
        if value and (looks_like_path(value) or str(key).endswith("path")):
            yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if isinstance(name, str) and name and (key == "best_k_models" or looks_like_path(name)):
                yield name
            yield from paths(item, name)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from paths(item, key)


def without(state: Any, unknown: set[str]) -> Any:
    """Return the state of a callback without some paths; a ModelCheckpoint then forgets its best checkpoints.

    A path that is the key of a dictionary is left out with its value, any other path becomes an empty string.

    Args:
        state: The state.
        unknown: The paths.

    Example:
        >>> without({"last": "/a", "scores": {"/a": 0.5, "/b": 0.4}}, {"/a"})
        {'last': '', 'scores': {'/b': 0.4}}
    """
    state = mapped(state, lambda text: "" if text in unknown else text)
    if isinstance(state, dict) and not BEST_MODELS.isdisjoint(state):
        no_best: dict[str, Any] = {
            "best_k_models": {},
            "best_model_path": "",
            "kth_best_model_path": "",
            "best_model_score": None,
        }
        state = {name: value for name, value in state.items() if name not in BEST_MODELS} | no_best
    return state


def replace_folder(value: Any, old: str, new: str) -> Any:
    """Replace the folder of all paths in a nested structure.

    Example:
        >>> replace_folder({"best": "/a/b.ckpt", "scores": {"/a/b.ckpt": 0.5}, "other": "/ab"}, "/a", "/c")
        {'best': '/c/b.ckpt', 'scores': {'/c/b.ckpt': 0.5}, 'other': '/ab'}
    """

    def replaced(text: str) -> str:
        inside = text.startswith(old) and text[len(old) : len(old) + 1] in ("", "/", os.sep)
        return new + text[len(old) :] if inside else text

    return mapped(value, replaced)


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return a nested structure with changed texts; entries of dictionaries whose keys become empty are left out.

    Args:
        value: The structure; objects other than dictionaries, lists, tuples, sets and texts are returned unchanged.
        change: Function of a text.
    """
    if type(value) is str:
        return change(value)
    if type(value) in (dict, OrderedDict, Counter):
        entries = {mapped(key, change): mapped(item, change) for key, item in value.items()}
        return type(value)({key: item for key, item in entries.items() if key != "" or "" in value})
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(mapped(item, change) for item in value)
    return value
