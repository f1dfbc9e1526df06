"""Identify worker processes, and check whether they are alive."""

import os
import socket
from pathlib import Path


def own_id() -> str:
    """Return the identity of this process: host name, process ID and start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{start_time(os.getpid())}"


def start_time(pid: int) -> str:
    """Return the start time of a process, to recognise a later process with the same ID; empty if unknown."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # no such process, or not Linux
        return ""


def is_dead(worker: str) -> bool:
    """Return whether a worker on this machine has ended; False for a worker on another machine.

    Args:
        worker: The identity of the worker, from :func:`own_id`.
    """
    host, _, rest = worker.partition(":")
    pid, _, started = rest.partition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return start_time(int(pid)) != started


def is_alive_here(worker: str) -> bool:
    """Return whether a worker is alive on this machine.

    Args:
        worker: The identity of the worker, from :func:`own_id`.
    """
    return worker.partition(":")[0] == socket.gethostname() and not is_dead(worker)
