"""The task of a run and its options in one line."""

from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

from rnn_tasks.printable import printable
from rnn_tasks.runs.files import is_number
from rnn_tasks.runs.find import section

SIDE_OPTIONS = {
    "batch_size",
    "eval_batch_size",
    "length_sequences",
    "epoch_sequences",
    "epoch_length",
    "val_sequences",
    "test_sequences",
    "val_characters",
    "test_characters",
    "baseline_characters",
    "val_share",
    "test_share",
    "random_offset",
    "prefix",
    "seed",
}
"""Options of the tasks that do not define what a network has to learn: amounts of data, batches, seeds."""

MAX_TEXT = 200
"""Largest number of characters in the description of the data."""


def data_text(config: Mapping[str, Any]) -> str:
    """Return the task of a run and the options that define it, without null, lists and :data:`SIDE_OPTIONS`.

    Args:
        config: The contents of config.yaml.

    Returns:
        One line of at most :data:`MAX_TEXT` characters; the file name alone of each path; ``-`` without a task.

    Raises:
        UsageError: The section data of config.yaml is damaged.

    Example:
        >>> options = {"layout": "plain", "delay": 30, "min_delay": None, "batch_size": 128}
        >>> data_text({"data": {"class_path": "rnn_tasks.tasks.Copy", "init_args": options}})
        'Copy(layout=plain, delay=30)'
        >>> data_text({"data": {"class_path": "rnn_tasks.tasks.Text", "init_args": {"path": "/home/me/book.txt"}}})
        'Text(path=book.txt)'
    """
    data = section(dict(config), "data")
    name = str(data.get("class_path") or "-").rpartition(".")[2]
    options = [
        f"{option}={value_text(value)}"
        for option, value in section(data, "init_args").items()
        if option not in SIDE_OPTIONS and (isinstance(value, str | bool) or is_number(value))
    ]
    text = printable(f"{name}({', '.join(options)})" if options else name)
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 3]}..."


def value_text(value: str | float) -> str:
    r"""Return the value of an option as text; the file name alone of a path.

    Args:
        value: The value.

    Example:
        >>> [value_text(value) for value in (30, True, "/home/me/book.txt", "C:\\texts\\book.txt", "none")]
        ['30', 'true', 'book.txt', 'book.txt', 'none']
    """
    if isinstance(value, str):
        return PureWindowsPath(value).name  # both separators
    return str(value).lower() if isinstance(value, bool) else str(value)
