"""Identify worker processes, and check whether they are alive."""

import contextlib
import os
import socket
from pathlib import Path

PROCESSES = Path("/proc")
"""The folder in which Linux describes the processes that are visible here."""


def own_id() -> str:
    """Return the identity of this process: machine, process ID and start time."""
    return f"{machine()}:{os.getpid()}:{start_time(os.getpid())}"


def machine() -> str:
    """Return host name, boot ID and namespace of process IDs; containers of one host differ in the namespace."""
    boot = namespace = ""
    with contextlib.suppress(OSError):  # not Linux
        boot = (PROCESSES / "sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    with contextlib.suppress(OSError):
        namespace = os.readlink(PROCESSES / "self/ns/pid").strip("pid:[]")
    return f"{socket.gethostname()}/{boot}/{namespace}"


def start_time(pid: int | str) -> str:
    """Return the start time of a process, to recognise a later process with the same ID.

    Returns:
        The time in clock ticks since the machine started; empty if the process has ended, or nothing is known about it.
    """
    try:
        stat = (PROCESSES / str(pid) / "stat").read_bytes()
    except OSError:  # no such process, or not Linux
        return ""
    state, *fields = stat.rpartition(b")")[2].decode().split()
    return "" if state in ("Z", "X") else fields[18]


def is_on_this_machine(worker: str) -> bool:
    """Return whether a worker is, or was, a process of this machine whose end can be noticed here.

    Args:
        worker: The identity of the worker, from :func:`own_id`; version 0.1.0 wrote the host name as the machine.
    """
    host, _, rest = worker.partition(":")
    # Without the first process, this is not Linux, or the processes of other users are hidden.
    seen = (PROCESSES / "1/stat").exists()
    return seen and host in (machine(), socket.gethostname()) and rest.partition(":")[0].isdecimal()


def is_dead(worker: str) -> bool:
    """Return whether a worker on this machine has ended; False for a worker on another machine.

    Args:
        worker: The identity of the worker, from :func:`own_id`.
    """
    pid, _, started = worker.partition(":")[2].partition(":")
    return is_on_this_machine(worker) and start_time(pid) != started


def is_alive_here(worker: str) -> bool:
    """Return whether a worker is alive on this machine.

    Args:
        worker: The identity of the worker, from :func:`own_id`.
    """
    return is_on_this_machine(worker) and not is_dead(worker)
