"""The Time Machine: fetched once, checked, kept; or a copy that the user names."""

import hashlib
import os
import sys
from pathlib import Path

from rnn_tasks.errors import UsageError
from rnn_tasks.texts.cleaning import read_text

NAME = "timemachine.txt"
ADDRESS = f"http://d2l-data.s3-accelerate.amazonaws.com/{NAME}"
"""Where the book "Dive into Deep Learning" keeps the edition (public domain) that published figures are of."""

SHA1 = "090b5e7e70c295757f55df93cb0a180b9691891a"
VARIABLE = "RNN_TASKS_DATA"


def book(path: str | None = None, url: str = ADDRESS, sha1: str = SHA1) -> str:
    """The text of *The Time Machine* by H. G. Wells (1895).

    Args:
        path: A copy, or the folder that holds one as ``timemachine.txt``; None for what the environment variable
            ``RNN_TASKS_DATA`` names, or else the copy in the user's cache, which is fetched when it is not there.
        url: Where the book is fetched from.
        sha1: The SHA-1 of the published edition.

    Raises:
        UsageError: There is no copy there, or none could be fetched.
    """
    named = path or os.environ.get(VARIABLE)
    if not named:
        return read_text(fetched(url, sha1))
    place = Path(os.path.expanduser(named))
    file = place / NAME if place.is_dir() else place
    if not file.is_file():
        raise UsageError(f"there is no {file}; {'data.path' if path else VARIABLE} must name {NAME} or its folder")
    text = read_text(file)
    if hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest() != sha1:
        print(f"note: {file} is not the edition that published figures are of (sha1 {sha1})", file=sys.stderr)
    return text


def fetched(url: str = ADDRESS, sha1: str = SHA1) -> Path:
    """The copy in the user's cache; several processes that want it at once fetch it once.

    Args:
        url: Where the book is fetched from.
        sha1: The SHA-1 of the published edition.

    Raises:
        UsageError: It is not there and could not be fetched.
    """
    import pooch  # .1 s that only this needs
    from filelock import FileLock

    cache = Path(pooch.os_cache("rnn_tasks"))
    if (cache / NAME).is_file() and hashlib.sha1(
        (cache / NAME).read_bytes(), usedforsecurity=False
    ).hexdigest() == sha1:
        return cache / NAME
    pooch.get_logger().setLevel("WARNING")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{NAME}.lock"):
            return Path(pooch.retrieve(url, f"sha1:{sha1}", NAME, cache))
    except (OSError, ValueError) as error:  # no network is an OSError in requests, another sum a ValueError
        raise UsageError(
            f"the book could not be fetched from {url} (sha1 {sha1}): give a copy with --data.path FILE, or name "
            f"its folder in the environment variable {VARIABLE}"
        ) from error
