"""The text of *The Time Machine*: downloaded once and checked, or read from the user's copy."""

import hashlib
import os
import sys
from pathlib import Path

from rnn_tasks.errors import UsageError
from rnn_tasks.texts.cleaning import read_text

FILE_NAME = "timemachine.txt"
URL = f"http://d2l-data.s3-accelerate.amazonaws.com/{FILE_NAME}"
"""The edition (public domain) that *Dive into Deep Learning* (https://d2l.ai) uses for its published results."""

SHA1 = "090b5e7e70c295757f55df93cb0a180b9691891a"
PATH_VARIABLE = "RNN_TASKS_DATA"


def read_book(path: str | None = None, url: str = URL, sha1: str = SHA1) -> str:
    """Return the text of *The Time Machine* by H. G. Wells (1895).

    Args:
        path: A copy of the book, or a folder with a copy named ``timemachine.txt``. None for the path in the
            environment variable ``RNN_TASKS_DATA``, or else for the copy in the user's cache, downloaded if missing.
        url: The address of the download.
        sha1: The SHA-1 of the edition of the published results.

    Raises:
        UsageError: The path does not exist, or the download failed.
    """
    chosen_path = path or os.environ.get(PATH_VARIABLE)
    if not chosen_path:
        return read_text(download(url, sha1))
    file = Path(os.path.expanduser(chosen_path))
    if file.is_dir():
        file /= FILE_NAME
    if not file.is_file():
        option = "--data.path" if path else PATH_VARIABLE
        raise UsageError(f"{file} does not exist: set {option} to {FILE_NAME} or to its folder")
    text = read_text(file)
    if hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest() != sha1:
        print(f"note: {file} is not the edition of the published results (its SHA-1 is not {sha1})", file=sys.stderr)
    return text


def download(url: str = URL, sha1: str = SHA1) -> Path:
    """Return the copy in the user's cache, downloaded if missing or changed; processes wait for each other.

    Args:
        url: The address of the download.
        sha1: The SHA-1 of the edition of the published results.

    Raises:
        UsageError: The download failed.
    """
    import pooch  # takes 0.1 s, so it is imported only here
    from filelock import FileLock

    cache = Path(pooch.os_cache("rnn_tasks"))
    file = cache / FILE_NAME
    if file.is_file() and hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest() == sha1:
        return file
    pooch.get_logger().setLevel("WARNING")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{FILE_NAME}.lock"):
            return Path(pooch.retrieve(url, f"sha1:{sha1}", FILE_NAME, cache))
    except (OSError, ValueError) as error:  # OSError: no network or no write access; ValueError: another SHA-1
        raise UsageError(
            f"could not download {url} (SHA-1 {sha1}): set --data.path or the environment variable {PATH_VARIABLE} to "
            "a copy of the book or to its folder"
        ) from error
