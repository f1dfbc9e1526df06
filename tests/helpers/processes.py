"""The command line in other processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def start(folder: Path, *arguments: str, first: Path | None = None) -> "subprocess.Popen[str]":
    """Start ``rnn-tasks`` as another process.

    Args:
        folder: The working folder of the process.
        *arguments: The arguments of the command line.
        first: A folder to search for the package before the checkout.
    """
    command = [sys.executable, "-m", "rnn_tasks", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment_of(first), stdout=pipe, stderr=pipe, text=True)


def environment_of(first: Path | None = None) -> dict[str, str]:
    """Return the environment of a process that imports what this process can import.

    Args:
        first: A folder to search before the others.
    """
    paths = [str(first)] if first else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, sys.path)])}


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Wait for a process; return its exit status, standard output and standard error."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_until(condition: Callable[..., object], seconds: float = 180) -> None:
    """Wait until a condition is true; fail if that takes longer than some seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def free_port() -> int:
    """Return the number of a port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
